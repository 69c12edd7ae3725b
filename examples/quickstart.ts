// Distils Fashion-MNIST to one image a class, then trains networks on those ten images alone. `npm run demo` runs it.
import { alexNet, convNet, distill, dm, evaluate, padTo, randomReal, resNet, vgg } from 'ld3m-gpu'
import { loadIdx, loadPrior, openDevice, openRun } from 'ld3m-gpu/node'

const assets = new URL('../assets/', import.meta.url).pathname
const device = await openDevice()
const train = padTo(await loadIdx(`${assets}fashion-mnist`, { split: 'train' }), 32)
const test = padTo(await loadIdx(`${assets}fashion-mnist`, { split: 'test' }), 32)
const prior = await loadPrior(device, `${assets}priors/fashion-mnist.safetensors`)

const task = { channels: 1, size: 32, classes: 10 }
const students = [
  convNet({ ...task, depth: 3, width: 32 }),
  alexNet({ ...task, widths: [32, 64] }),
  vgg({ ...task, widths: [32, 64, 128, 128, 128], poolSize: 1 }),
  resNet({ ...task, widths: [24, 48, 96] }),
]

const run = await openRun('runs/demo', device)
const options = {
  dataset: train,
  prior,
  objective: dm(),
  imagesPerClass: 1,
  steps: 60,
  seed: 0,
  diffusion: { steps: 5 },
}
const distilled = await run.record(options, distill({ ...options, signal: run.signal, onProgress: run.onProgress }))

const protocol = { device, test, normalization: distilled.normalization, students, runs: 3, signal: run.signal }
const accuracy = {
  distilled: await evaluate({ ...protocol, train: distilled, onProgress: run.onEvaluate('distilled') }),
  randomReal: await evaluate({
    ...protocol,
    train: (draw) => randomReal(train, 1, draw),
    onProgress: run.onEvaluate('random real'),
  }),
}
await run.finish(accuracy)
device.destroy()
