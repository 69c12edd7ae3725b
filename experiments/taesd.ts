// `npm run experiment:taesd -- --weights DIR --data DIR`: photographs through the pretrained TAEF2 (taef2_encoder.pth and
// taef2_decoder.pth) at 128×128 and back: PSNR, here and in PyTorch where it is installed.
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { noGrad, ops, scope, tensor } from '../src/autograd/index.ts'
import { readImages, takePerClass, toUnit } from '../src/data/index.ts'
import { autoencoder, Params } from '../src/models/index.ts'
import { openDataset, openDevice, writeFileAtomic } from '../src/node/index.ts'
import { readOptions } from './options.ts'
import { loadTaef2 } from './taef2.ts'

const { values } = readOptions({
  options: {
    weights: { type: 'string', default: 'weights' },
    data: { type: 'string', default: 'photographs' },
    'per-class': { type: 'string', default: '5' },
  },
})
const SIZE = 128
const BATCH = 10

const device = await openDevice()
const { options, state } = await loadTaef2(device, values.weights)
const model = autoencoder(options)
const params = new Params(state)
const dataset = takePerClass(await openDataset(values.data, { size: SIZE, split: 'test' }), Number(values['per-class']))
const images = toUnit(
  await readImages(
    dataset,
    Array.from({ length: dataset.count }, (_, i) => i),
  ),
)

/** Peak signal-to-noise ratio of images in [0, 1], in dB, of each image. */
function psnr(a: Float32Array, b: Float32Array): number[] {
  const size = 3 * SIZE * SIZE
  return Array.from({ length: dataset.count }, (_, n) => {
    let squares = 0
    for (let i = n * size; i < (n + 1) * size; i++) {
      squares += ((a[i] as number) - Math.min(Math.max(b[i] as number, 0), 1)) ** 2
    }
    return 10 * Math.log10(size / squares)
  })
}

const back = new Float32Array(images.length)
const started = performance.now()
for (let first = 0; first < dataset.count; first += BATCH) {
  const size = 3 * SIZE * SIZE
  const part = images.subarray(first * size, (first + BATCH) * size)
  const decoded = scope(() =>
    noGrad(() => {
      const x = tensor(device, part, { shape: [part.length / size, 3, SIZE, SIZE] })
      const y = model.decode(params, model.encode(params, ops.affine(x, 2, -1)))
      return ops.affine(y, 0.5, 0.5)
    }),
  )
  back.set(await decoded.read(), first * size)
  decoded.dispose()
}
const seconds = (performance.now() - started) / 1000
const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length
const ours = psnr(images, back)
console.log(`${dataset.count} images of ${SIZE}×${SIZE}: ${mean(ours).toFixed(3)} dB, ${seconds.toFixed(1)} s`)

const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-taesd-'))
try {
  await writeFile(join(folder, 'images.f32'), new Uint8Array(images.buffer))
  const script = fileURLToPath(new URL('taesd_torch.py', import.meta.url))
  const [weights, count] = [values.weights, `${dataset.count}`]
  console.log(
    execFileSync('/usr/bin/python3', [script, weights, folder, count, `${SIZE}`], { encoding: 'utf8' }).trim(),
  )
  const theirs = new Float32Array((await readFile(join(folder, 'decoded.f32'))).buffer)
  const apart = back.reduce((most, v, i) => Math.max(most, Math.abs(v - (theirs[i] as number))), 0)
  const result = { images: dataset.count, psnr: mean(ours), pytorch: mean(psnr(images, theirs)), apart }
  console.log(`PyTorch: ${result.pytorch.toFixed(3)} dB; pixels differ by at most ${apart.toExponential(1)}`)
  await writeFileAtomic('docs/experiments/taesd.json', `${JSON.stringify(result)}\n`)
} finally {
  await rm(folder, { recursive: true })
}
device.destroy()
