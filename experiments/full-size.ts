// `npm run experiment:full-size -- --checkpoint FILE [--dtype f16] [--data DIR]`: loads a checkpoint of the ImageNet latent
// diffusion model, and takes one whole step of distillation at 128×128, one image: seconds and memory of each part.
// experiments/make_full_checkpoint.py makes such a file with random weights.
import process from 'node:process'
import { createDataset, IMAGENET_CLASSES, selectClasses } from '../src/data/index.ts'
import { distill, dm } from '../src/ld3m/index.ts'
import { convNet } from '../src/models/index.ts'
import { formatBytes, loadPrior, openDataset, openDevice } from '../src/node/index.ts'
import { readOptions } from './options.ts'

const { values } = readOptions({
  options: {
    checkpoint: { type: 'string', default: 'model.ckpt' },
    dtype: { type: 'string', default: 'f32' },
    /** Real images; noise where none are given. */
    data: { type: 'string' },
    timesteps: { type: 'string', default: '10' },
  },
})
const SIZE = 128

/** The most memory of the process while something runs, sampled. */
async function measured<T>(what: string, run: () => Promise<T>): Promise<T> {
  device.resetPeak()
  let rss = 0
  let heap = 0
  const sample = () => {
    const usage = process.memoryUsage()
    rss = Math.max(rss, usage.rss)
    heap = Math.max(heap, usage.heapUsed)
  }
  const timer = setInterval(sample, 20)
  const started = performance.now()
  try {
    return await run()
  } finally {
    clearInterval(timer)
    sample()
    const seconds = ((performance.now() - started) / 1000).toFixed(1)
    const { peak } = device.memory
    console.log(`| ${what} | ${seconds} s | ${formatBytes(peak)} | ${formatBytes(heap)} | ${formatBytes(rss)} |`)
  }
}

const device = await openDevice()
const noise = () =>
  createDataset({
    ...{ name: 'noise', channels: 3, height: SIZE, width: SIZE, classNames: ['noise'] },
    images: Uint8Array.from({ length: 8 * 3 * SIZE * SIZE }, (_, i) => (i * 7919) % 251),
    labels: new Uint8Array(8),
  })
const whole = values.data ? await openDataset(values.data, { size: SIZE }) : noise()
const dataset = selectClasses(whole, [0])

console.log(`| ${values.dtype} | time | GPU memory, peak | heap, peak | resident, peak |\n|---|---|---|---|---|`)
const prior = await measured('load', () =>
  loadPrior(device, values.checkpoint, { size: SIZE, dtype: values.dtype as 'f32' | 'f16' }),
)
await measured('draw an image, 4 steps', () => prior.sample({ classId: 1, steps: 4 }))
await measured(`a step of distillation, ${values.timesteps} timesteps`, () =>
  distill({
    ...{ dataset, prior, objective: dm(), steps: 1, realBatch: 8, priorClasses: [IMAGENET_CLASSES.length - 1] },
    student: convNet({ channels: 3, size: SIZE, classes: 1, depth: 5 }),
    diffusion: { steps: Number(values.timesteps), checkpoint: true },
    onProgress: ({ loss, gradientNorm }) =>
      console.log(`loss ${loss.toPrecision(4)}, ‖∂L/∂Z‖ ${gradientNorm.latents}, ‖∂L/∂c‖ ${gradientNorm.conditioning}`),
  }),
)
prior.dispose()
device.destroy()
