import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { optionError } from '../errors.ts'
import { imageGrid } from '../io/index.ts'
import { loadPrior, openDevice, openRunDirectory, ProgressLine, writeFileAtomic } from '../node/index.ts'
import { counted } from '../words.ts'
import { command, countOf, INERT, inertNames, integer, number } from './arguments.ts'
import { priorClassIds } from './prior-classes.ts'

export const sampleCommand = command(
  'sample',
  'Draw images from a prior and save them as a PNG file, a row a class',
  {
    prior: {
      type: 'string',
      valueHint: 'FILE',
      required: true,
      description: 'The latent diffusion model, safetensors or PyTorch',
    },
    ...INERT,
    size: { type: 'string', valueHint: 'N', description: 'Sides of the images, of a published model; default 256' },
    class: {
      type: 'string',
      valueHint: 'K,L',
      description: "The prior's classes, by id or name; without them, no class",
    },
    count: { type: 'string', valueHint: 'N', default: '4', description: 'Images of each class' },
    steps: { type: 'string', valueHint: 'N', default: '20', description: 'DDIM steps' },
    guidance: { type: 'string', valueHint: 'S', default: '3', description: 'Guidance scale; 1 turns it off' },
    eta: { type: 'string', valueHint: 'X', default: '0', description: 'Noise of the process, 0 to 1' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same images' },
    dtype: { type: 'enum', options: ['f32', 'f16'], default: 'f32', description: 'f16 halves the memory of weights' },
    out: { type: 'string', valueHint: 'FILE', required: true, description: 'The PNG file' },
  },
  async ({ prior: file, inert, size, class: ids, dtype, out, ...texts }) => {
    const [count, steps, seed] = [
      countOf('count', texts.count),
      countOf('steps', texts.steps),
      integer('seed', texts.seed),
    ]
    const [guidance, eta] = [number('guidance', texts.guidance), number('eta', texts.eta)]
    const ofPrior = {
      ...{ dtype: dtype as 'f32' | 'f16', ...inertNames(inert) },
      ...(size !== undefined && { size: countOf('size', size) }),
    }
    if (!/\.png$/i.test(out)) throw optionError(`--out is '${out}'.`, 'Name a file that ends in .png.')
    await openRunDirectory(dirname(resolve(out)))
    const device = await openDevice()
    const line = new ProgressLine(process.stderr)
    try {
      line.update(`reading ${file}`)
      const prior = await loadPrior(device, file, ofPrior)
      const classes = ids === undefined ? [{}] : priorClassIds('class', ids, prior).map((classId) => ({ classId }))
      const rows: Float32Array[] = []
      let shape: readonly number[] = []
      for (const [i, ofClass] of classes.entries()) {
        line.update(`drawing row ${i + 1} of ${classes.length}`)
        const images = await prior.sample({ ...ofClass, count, steps, guidance, eta, seed })
        rows.push(images.data)
        shape = images.shape
      }
      const all = new Float32Array(rows.reduce((n, row) => n + row.length, 0))
      for (const [i, row] of rows.entries()) all.set(row, i * row.length)
      line.end()
      const drawn = rows.length * count
      await writeFileAtomic(out, imageGrid({ images: all, shape: [drawn, ...shape.slice(1)], columns: count }))
      process.stdout.write(`${counted(drawn, 'image')} in ${out}\n`)
    } finally {
      line.end()
      device.destroy()
    }
  },
)
