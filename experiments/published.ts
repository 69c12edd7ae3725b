// `npm run experiment:published`: gradient matching of pixels, one image a class of Fashion-MNIST with a ConvNet-3 of width
// 128, beside the published 70.5 % (DC) and 70.6 % (DSA). As published but for `--real-batch` and `--iterations`: 28×28,
// real images to start from, learning rate 0.1, networks that are not trained; judged by five ConvNet-3 on all test images.
// The run is in runs/experiments/published, and goes on where it was stopped.
import { type DistillSettings, dc } from '../src/ld3m/index.ts'
import { convNet } from '../src/models/index.ts'
import { openDevice, runExperiment, writeFileAtomic } from '../src/node/index.ts'
import { fashionSplit } from './fashion-files.ts'
import { readOptions } from './options.ts'

const { values } = readOptions({
  options: {
    /** Published: 1,000. */
    iterations: { type: 'string', default: '300' },
    /** Real images a class and iteration; published: 256. */
    'real-batch': { type: 'string', default: '64' },
    /** Published: 128. */
    width: { type: 'string', default: '128' },
    out: { type: 'string', default: 'runs/experiments/published' },
  },
})

const device = await openDevice()
const [train, test] = await Promise.all([fashionSplit('train'), fashionSplit('test')])
const student = convNet({ channels: 1, size: 28, classes: 10, depth: 3, width: Number(values.width) })
const settings = {
  ...{ steps: Number(values.iterations), realBatch: Number(values['real-batch']) },
  ...{ imagesPerClass: 1, learningRate: 0.1, seed: 0 },
} satisfies Partial<DistillSettings>
const started = performance.now()
const { accuracy } = await runExperiment(values.out, {
  ...{ train, test, distill: { ...settings, objective: dc(), space: 'pixel', device, student } },
  evaluate: { students: [student], runs: 5, epochs: 300 },
})
const seconds = (performance.now() - started) / 1000
const result = {
  ...{ experiment: 'published', adapter: device.info.description, student: student.name, width: Number(values.width) },
  ...{ ...settings, seconds, accuracy, published: { DC: 0.705, DSA: 0.706 } },
}
await writeFileAtomic('docs/experiments/published.json', `${JSON.stringify(result, undefined, 1)}\n`)
console.log(result)
device.destroy()
