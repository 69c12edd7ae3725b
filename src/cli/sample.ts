import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { optionError } from '../errors.ts'
import { imageGrid } from '../io/index.ts'
import { loadPrior, openDevice, writeFileAtomic } from '../node/index.ts'
import { command, INERT, inertNames, integer, number } from './arguments.ts'

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
    class: { type: 'string', valueHint: 'K,L', description: "The prior's class ids; without them, no class" },
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
      integer('count', texts.count),
      integer('steps', texts.steps),
      integer('seed', texts.seed),
    ]
    const [guidance, eta] = [number('guidance', texts.guidance), number('eta', texts.eta)]
    const classes = ids === undefined ? [{}] : ids.split(',').map((id) => ({ classId: integer('class', id) }))
    const ofPrior = {
      ...{ dtype: dtype as 'f32' | 'f16', ...inertNames(inert) },
      ...(size !== undefined && { size: integer('size', size) }),
    }
    const folder = dirname(out)
    if (!existsSync(folder)) throw optionError(`There is no folder ${folder}.`, 'Make it, or give another --out.')
    const device = await openDevice()
    try {
      const prior = await loadPrior(device, file, ofPrior)
      const rows: Float32Array[] = []
      let shape: readonly number[] = []
      for (const ofClass of classes) {
        const images = await prior.sample({ ...ofClass, count, steps, guidance, eta, seed })
        rows.push(images.data)
        shape = images.shape
      }
      const all = new Float32Array(rows.reduce((n, row) => n + row.length, 0))
      for (const [i, row] of rows.entries()) all.set(row, i * row.length)
      const grid = { images: all, shape: [rows.length * count, ...shape.slice(1)], columns: count }
      await writeFileAtomic(out, imageGrid(grid))
      process.stdout.write(`${rows.length * count} images in ${out}\n`)
    } finally {
      device.destroy()
    }
  },
)
