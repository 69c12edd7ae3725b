// Distils Fashion-MNIST to one image a class, then trains networks on those ten images alone. `npm run demo` runs it.
import { fileURLToPath } from 'node:url'
import { alexNet, convNet, distill, dm, FASHION_MNIST_CLASSES, padTo, resNet } from 'ld3m-gpu'
import { loadIdx, loadPrior, openDevice, openRun } from 'ld3m-gpu/node'

const assets = fileURLToPath(new URL('../assets/', import.meta.url))
const device = await openDevice()
const load = async (split: 'train' | 'test') =>
  padTo(await loadIdx(`${assets}fashion-mnist`, { split, classNames: FASHION_MNIST_CLASSES }), 32)
const [train, test] = [await load('train'), await load('test')]
const prior = await loadPrior(device, `${assets}priors/fashion-mnist.safetensors`)

const options = {
  dataset: train,
  prior,
  objective: dm(),
  imagesPerClass: 1,
  steps: 50,
  seed: 0,
  realBatch: 32,
  diffusion: { steps: 4 },
}
const run = await openRun('runs/demo', device)
await run.record(options, distill({ ...options, signal: run.signal, onProgress: run.onProgress }))

// A ConvNet is what the images were matched with; the others are unseen.
const task = { channels: 1, size: 32, classes: 10 }
const students = [
  convNet({ ...task, depth: 3, width: 32 }),
  alexNet({ ...task, widths: [16, 32] }),
  resNet({ ...task, widths: [8, 16, 32], blocks: [1, 1, 1] }),
]
await run.compare({ train, test, students, runs: 2, steps: 120, learningRate: 0.03 })
device.destroy()
