// `npm run train-prior -- [DIR]`: trains the prior that the demo uses, on the whole Fashion-MNIST training set in DIR
// (default: where Debian's dataset-fashion-mnist puts it). Saves its state as it goes and resumes from there.
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { padTo } from '../src/data/index.ts'
import { trainPrior } from '../src/ld3m/index.ts'
import { loadIdx, openDevice, writeFileAtomic } from '../src/node/index.ts'
import { fashionRecipe } from './fashion-recipe.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: 'assets/priors/fashion-mnist.safetensors' },
    state: { type: 'string', default: '.cache/train-prior' },
  },
})
const [directory = '/usr/share/datasets/fashion-mnist'] = positionals
const SAVE_EVERY_SECONDS = 60

const device = await openDevice()
const dataset = padTo(await loadIdx(directory, { split: 'train' }), 32)
await mkdir(values.state, { recursive: true })
const statePath = (stage: string) => `${values.state}/${stage}.safetensors`
const saved = async (stage: string) => (existsSync(statePath(stage)) ? await readFile(statePath(stage)) : undefined)

const started = Date.now()
let lastSave = Date.now()
const { prior, curves } = await trainPrior({
  device,
  dataset,
  recipe: fashionRecipe,
  resume: { autoencoder: await saved('autoencoder'), denoiser: await saved('denoiser') },
  onProgress: async ({ stage, step, steps, loss, seconds, secondsLeft, save }) => {
    console.log(
      `${stage} ${step}/${steps}  loss ${loss.toFixed(4)}  ${seconds.toFixed(0)} s, ${secondsLeft.toFixed(0)} s left`,
    )
    if (step === steps || Date.now() - lastSave > SAVE_EVERY_SECONDS * 1000) {
      await writeFileAtomic(statePath(stage), await save())
      lastSave = Date.now()
    }
  },
})
await writeFileAtomic(values.out, await prior.toSafetensors())
await writeFile(`${values.out}.curves.json`, `${JSON.stringify({ ...curves, every: 20 })}\n`)
await rm(values.state, { recursive: true })
console.log(`${values.out} written after ${((Date.now() - started) / 60_000).toFixed(1)} minutes`)
device.destroy()
