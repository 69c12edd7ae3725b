// `npm run experiment:spaces`: Fashion-MNIST, one image a class: pixels, autoencoder and LD3M, each with DC, DM and MTT,
// on the network that was matched and on four that were not; random real images and the whole dataset as brackets.
// MTT needs experts: `ld3m-gpu experts --data DIR --size 32 --count 20 --out runs/experiments/experts`.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import {
  type Accuracy,
  chooseIteration,
  type DistillSettings,
  dc,
  distill,
  distilledToSafetensors,
  dm,
  evaluate,
  mtt,
  normalizationOf,
  type Objective,
  openExperts,
  randomReal,
  type SpaceOptions,
  type TrainingProtocol,
} from '../src/ld3m/index.ts'
import { expertsFolder, openDevice, writeFileAtomic } from '../src/node/index.ts'
import { type Cell, runCells } from './cells.ts'
import { fashion, fashionPrior, seen, unseen } from './fashion.ts'

const { values } = parseArgs({
  options: {
    /** Iterations of a distillation. */
    steps: { type: 'string', default: '200' },
    seeds: { type: 'string', default: '3' },
    experts: { type: 'string', default: 'runs/experiments/experts' },
    out: { type: 'string', default: 'docs/experiments/spaces.json' },
  },
})
const steps = Number(values.steps)

interface Key {
  /** What was trained on. */
  readonly from: 'pixel' | 'autoencoder' | 'latent-diffusion' | 'random real' | 'whole dataset'
  readonly objective?: 'DC' | 'DM' | 'MTT'
  readonly seed: number
}

interface Result {
  /** Test accuracy by architecture. */
  readonly accuracy: Readonly<Record<string, Accuracy>>
  /** The iteration that validation images chose. */
  readonly iteration?: number
  readonly loss?: { readonly first: number; readonly last: number }
}

const device = await openDevice()
const { train, validation, test } = await fashion()
const prior = await fashionPrior(device)
const normalization = normalizationOf(train)
const students = [seen, ...unseen]

/** Of every network, whatever it is trained on. */
const protocol: TrainingProtocol = { steps: 300, learningRate: 0.01, warmup: 0.1, averaging: 0.98 }

const spaces: Readonly<Record<'pixel' | 'autoencoder' | 'latent-diffusion', SpaceOptions>> = {
  pixel: { space: 'pixel', device },
  autoencoder: { space: 'autoencoder', prior },
  'latent-diffusion': { space: 'latent-diffusion', prior, diffusion: { steps: 5 } },
}

const objectives: Readonly<Record<'DC' | 'DM' | 'MTT', () => Promise<Objective>>> = {
  DC: async () => dc(),
  DM: async () => dm(),
  MTT: async () => mtt({ experts: await openExperts(expertsFolder(values.experts)) }),
}

async function distilled(space: keyof typeof spaces, name: keyof typeof objectives, seed: number): Promise<Result> {
  // The network that is matched chooses the iteration: the unseen ones stay unseen.
  const choice = chooseIteration({
    ...{ device, validation, students: [seen], every: Math.ceil(steps / 4), runs: 1, seed },
    ...protocol,
  })
  const settings: DistillSettings = {
    ...{ dataset: train, objective: await objectives[name](), student: seen, steps, seed },
    onProgress: choice.onProgress,
  }
  const { loss } = await distill({ ...settings, ...spaces[space] })
  const { set, iteration } = choice.best
  await mkdir('runs/experiments/spaces', { recursive: true })
  await writeFileAtomic(`runs/experiments/spaces/${space}-${name}-${seed}.safetensors`, distilledToSafetensors(set))
  const accuracy = await evaluate({
    ...{ device, train: set, test, normalization, students, runs: 1, seed },
    ...protocol,
  })
  return { accuracy, iteration, loss: { first: loss[0] as number, last: loss.at(-1) as number } }
}

const cells: Cell<Key, Result>[] = []
for (let seed = 0; seed < Number(values.seeds); seed++) {
  const common = { device, test, normalization, students, runs: 1, seed, ...protocol }
  cells.push({
    key: { from: 'random real', seed },
    run: async () => ({ accuracy: await evaluate({ ...common, train: await randomReal(train, 1, seed) }) }),
  })
  const names = (['DM', 'DC', 'MTT'] as const).filter((name) => name !== 'MTT' || existsSync(values.experts))
  for (const objective of names) {
    for (const from of ['pixel', 'autoencoder', 'latent-diffusion'] as const) {
      cells.push({ key: { from, objective, seed }, run: () => distilled(from, objective, seed) })
    }
  }
  cells.push({
    key: { from: 'whole dataset', seed },
    run: async () => ({ accuracy: await evaluate({ ...common, train }) }),
  })
}
const { cells: results } = await runCells(values.out, 'spaces', device.info.description, cells)

const percent = (x: number) => (100 * x).toFixed(1)
console.log(`\n| trained on | matched | ${students.map(({ name }) => name).join(' | ')} | mean of unseen |`)
console.log(`|---|---|${students.map(() => '---').join('|')}|---|`)
const kinds = [...new Set(results.map(({ key: { seed: _, ...kind } }) => JSON.stringify(kind)))]
for (const kind of kinds) {
  const rows = results.filter(({ key: { seed: _, ...other } }) => JSON.stringify(other) === kind)
  const of = (name: string) => rows.map(({ result }) => result.accuracy[name]?.mean ?? Number.NaN)
  const across = rows.map(({ result }) => mean(unseen.map(({ name }) => result.accuracy[name]?.mean ?? Number.NaN)))
  const { from, objective = '–' } = JSON.parse(kind) as Key
  console.log(
    `| ${from} | ${objective} | ${students.map(({ name }) => spread(of(name))).join(' | ')} | ${spread(across)} |`,
  )
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}

/** Mean ± sample standard deviation over seeds, in percent. */
function spread(values: readonly number[]): string {
  const m = mean(values)
  const std = Math.sqrt(values.reduce((a, v) => a + (v - m) ** 2, 0) / Math.max(1, values.length - 1))
  return `${percent(m)} ± ${percent(std)}`
}

prior.dispose()
device.destroy()
