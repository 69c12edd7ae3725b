// `npm run train-prior -- [DIR]`: trains the prior that the demo uses, on the whole Fashion-MNIST training set in DIR
// (default: where Debian's dataset-fashion-mnist puts it). Saves its state as it goes and resumes from there.
import { parseArgs } from 'node:util'
import { padTo } from '../src/data/index.ts'
import { loadIdx, openDevice, trainPriorFile } from '../src/node/index.ts'
import { fashionRecipe } from './fashion-recipe.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { out: { type: 'string', default: 'assets/priors/fashion-mnist.safetensors' } },
})
const [directory = '/usr/share/datasets/fashion-mnist'] = positionals

const device = await openDevice()
const dataset = padTo(await loadIdx(directory, { split: 'train' }), 32)
await trainPriorFile(values.out, { device, dataset, recipe: fashionRecipe })
device.destroy()
