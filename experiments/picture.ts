// `npm run experiment:picture -- OUT.png SET…`: distilled sets below each other as a PNG file, of each the first image of
// every class. Sets are files, or names in the folder in which the experiments leave them.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { optionError } from '../src/errors.ts'
import { imageGrid } from '../src/io/index.ts'
import { distilledFromSafetensors } from '../src/ld3m/index.ts'
import { writeFileAtomic } from '../src/node/index.ts'
import { readOptions } from './options.ts'

/** Where the experiments leave them. */
const SETS = 'runs/experiments/sets'

const { values, positionals } = readOptions({
  allowPositionals: true,
  options: {
    /** Side of the square that one image pixel becomes. */
    enlarge: { type: 'string', default: '2' },
  },
})
const [out, ...names] = positionals
if (out === undefined || names.length === 0) throw optionError('No picture is named, or no set.', 'Give OUT.png SET….')

const rows: Float32Array[] = []
let shape: readonly number[] = []
for (const name of names) {
  const file = existsSync(name) ? name : `${SETS}/${name}.safetensors`
  const { images, labels } = distilledFromSafetensors(await readFile(file))
  const size = images.data.length / labels.length
  const first = [...new Set(labels)].map((label) => labels.indexOf(label))
  for (const i of first) rows.push((images.data as Float32Array).subarray(i * size, (i + 1) * size))
  shape = [first.length, ...images.shape.slice(1)]
}
const [columns, ...image] = shape as [number, number, number, number]
const images = Float32Array.from(rows.flatMap((row) => [...row]))
const grid = { images, shape: [rows.length, ...image], columns, scale: Number(values.enlarge) }
await writeFileAtomic(out, imageGrid(grid))
