// `npm run experiment:steps`: what more steps of the diffusion cost, and what they bring. LD3M with DM, one image a class
// of Fashion-MNIST, accuracies as in `experiment:spaces`.
import { parseArgs } from 'node:util'
import { type Cell, runCells } from './cells.ts'
import { type Distilled, FashionBench } from './fashion-runs.ts'
import { learningRateOf } from './learning-rates.ts'
import { accuracyHead, accuracyRow, mean } from './tables.ts'

const { values } = parseArgs({
  options: {
    iterations: { type: 'string', default: '100' },
    seeds: { type: 'string', default: '3' },
  },
})
const STEPS = [1, 2, 5, 10, 20]

interface Key {
  readonly steps: number
  readonly seed: number
}

const bench = await FashionBench.open('runs/experiments/experts')
const learningRate = await learningRateOf('latent-diffusion', 'DM')
const cells: Cell<Key, Distilled>[] = []
for (let seed = 0; seed < Number(values.seeds); seed++) {
  for (const steps of STEPS) {
    const run = { space: 'latent-diffusion', objective: 'DM', diffusion: { steps }, seed, learningRate } as const
    cells.push({
      key: { steps, seed },
      run: () => bench.distilled(`steps-${steps}-${seed}`, { ...run, iterations: Number(values.iterations) }),
    })
  }
}
const { cells: results } = await runCells('docs/experiments/steps.json', 'steps', bench.adapter, cells)

console.log(`\n${accuracyHead(['steps', 'seconds an iteration'])}`)
for (const steps of STEPS) {
  const own = results.filter(({ key }) => key.steps === steps).map(({ result }) => result)
  const seconds = mean(own.map(({ secondsAnIteration }) => secondsAnIteration))
  console.log(accuracyRow([String(steps), seconds.toFixed(2)], own))
}
bench.close()
