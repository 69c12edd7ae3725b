// Makes `assets/fashion-mnist` from all of Fashion-MNIST: the first 500 training and 100 test images of each class.
//
//   node --import ./scripts/register.mjs scripts/make-fashion-subset.ts DIR
//
// DIR holds the four standard IDX files; Debian's package dataset-fashion-mnist puts them in
// /usr/share/datasets/fashion-mnist. The same input gives the same bytes (with the same zlib).
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { FASHION_MNIST_CLASSES, takePerClass } from '../src/data/index.ts'
import { writeIdx } from '../src/io/index.ts'
import { writeFileAtomic } from '../src/node/files.ts'
import { loadIdx } from '../src/node/idx.ts'

const SPLITS = [
  { split: 'train', prefix: 'train', perClass: 500 },
  { split: 'test', prefix: 't10k', perClass: 100 },
] as const

const [directory] = process.argv.slice(2)
if (directory === undefined) {
  console.error('usage: node --import ./scripts/register.mjs scripts/make-fashion-subset.ts DIR')
  process.exit(2)
}

const target = fileURLToPath(new URL('../assets/fashion-mnist/', import.meta.url))
await mkdir(target, { recursive: true })
for (const { split, prefix, perClass } of SPLITS) {
  const all = await loadIdx(directory, { split, classNames: FASHION_MNIST_CLASSES })
  const { images, labels, count, height, width } = takePerClass(all, perClass)
  await write(
    `${prefix}-images-idx3-ubyte.gz`,
    writeIdx({ shape: [count, height, width], data: new Uint8Array(images) }),
  )
  await write(`${prefix}-labels-idx1-ubyte.gz`, writeIdx({ shape: [count], data: new Uint8Array(labels) }))
}

async function write(name: string, bytes: Uint8Array): Promise<void> {
  const compressed = gzipSync(bytes, { level: 9 })
  // The header names the operating system; 255 says "unknown", so that every system writes the same byte.
  compressed[9] = 255
  await writeFileAtomic(`${target}${name}`, compressed)
  console.log(`${name}: ${compressed.length} bytes`)
}
