// `npm run experiment:photographs -- --weights DIR --data DIR --size 64`: photographs of clothing in folders, ten classes:
// a denoiser is trained on the latents of the pretrained TAEF2, then one image a class is distilled with DM and judged as
// every run is. DIR/{train,validation,test}/CLASS; everything is in runs/experiments/photographs-SIZE, and goes on where it
// was stopped.
import { parseArgs } from 'node:util'
import { denoiserRecipe, dm } from '../src/ld3m/index.ts'
import { alexNet, convNet, resNet, vgg, vit } from '../src/models/index.ts'
import { openDataset, openDevice, runExperiment, trainPriorFile, writeFileAtomic } from '../src/node/index.ts'
import { scale } from './scale.ts'
import { loadTaef2 } from './taef2.ts'

const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'weights' },
    data: { type: 'string', default: 'photographs' },
    size: { type: 'string', default: '64' },
    /** Steps of the denoiser's training. */
    training: { type: 'string', default: '3000' },
    iterations: { type: 'string', default: '100' },
    'learning-rate': { type: 'string', default: '0.1' },
    /** Trainings of each network. */
    runs: { type: 'string', default: '2' },
  },
})
const size = Number(values.size)
const folder = `runs/experiments/photographs-${size}`

const device = await openDevice()
const open = (split: 'train' | 'validation' | 'test') => openDataset(values.data, { size, split })
const [train, validation, test] = await Promise.all([open('train'), open('validation'), open('test')])

const autoencoder = await loadTaef2(device, values.weights)
const recipe = denoiserRecipe(train, autoencoder.options)
const prior = await trainPriorFile(`${folder}/prior.safetensors`, {
  ...{ device, dataset: train, autoencoder },
  recipe: {
    ...recipe,
    denoiserTraining: { ...recipe.denoiserTraining, steps: Number(values.training), batch: 32, emaDecay: 0.995 },
  },
})

// Depth and widths that two cores can carry.
const task = { channels: 3, size, classes: train.classNames.length }
const seen = convNet({ ...task, depth: Math.log2(size) - 2, width: 32 })
const unseen = [
  alexNet({ ...task, widths: [32, 64, 64, 64] }),
  vgg({ ...task, widths: [16, 32, 64, 64, 64], poolSize: 1 }),
  resNet({ ...task, widths: [16, 32, 64], blocks: [1, 1, 1] }),
  vit({ ...task, patch: size / 8, width: 64, depth: 3, heads: 4, headWidth: 16, hidden: 64 }),
]
// With 0.01, at which networks of Fashion-MNIST are trained, AlexNet diverges on photographs.
const protocol = { ...scale.protocol, learningRate: 0.003 }
const iterations = Number(values.iterations)
const settings = { steps: iterations, realBatch: 32, learningRate: Number(values['learning-rate']), seed: 0 }
const started = performance.now()
const { accuracy, chosen } = await runExperiment(`${folder}/run`, {
  ...{ train, test, distill: { ...settings, prior, objective: dm(), student: seen, diffusion: { steps: 5 } } },
  choose: { validation, students: [seen], every: Math.ceil(iterations / 4), ...protocol, runs: 1 },
  evaluate: { students: [seen, ...unseen], ...protocol, runs: Number(values.runs) },
})
const seconds = (performance.now() - started) / 1000
const result = {
  experiment: 'photographs',
  adapter: device.info.description,
  size,
  ...settings,
  chosen,
  accuracy,
  seconds,
}
await writeFileAtomic(`docs/experiments/photographs-${size}.json`, `${JSON.stringify(result, undefined, 1)}\n`)
console.log(result)
prior.dispose()
device.destroy()
