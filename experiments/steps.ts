// `npm run experiment:steps`: what more steps of the diffusion cost, and what they bring. LD3M with DM, one image a class
// of Fashion-MNIST, accuracies as in `experiment:spaces`.
import { type Cell, runCells } from './cells.ts'
import { type Distilled, FashionBench } from './fashion-runs.ts'
import { learningRateOf } from './learning-rates.ts'
import { scale } from './scale.ts'
import { accuracyTable } from './tables.ts'

const STEPS = [1, 2, 5, 10, 20]

interface Key {
  readonly steps: number
  readonly seed: number
}

const bench = await FashionBench.open()
const learningRate = await learningRateOf('latent-diffusion', 'DM')
const cells: Cell<Key, Distilled>[] = []
for (let seed = 0; seed < scale.seeds; seed++) {
  for (const steps of STEPS) {
    const run = { space: 'latent-diffusion', objective: 'DM', diffusion: { steps }, seed, learningRate } as const
    cells.push({
      key: { steps, seed },
      run: () => bench.distilled(`steps-${steps}-${seed}`, { ...run, iterations: scale.iterations.parts }),
    })
  }
}
const results = await runCells(bench.experiment('steps', scale.iterations.parts), cells)

const rows = STEPS.map((steps) => {
  const own = results.filter(({ key }) => key.steps === steps).map(({ result }) => result)
  // The least of the seeds: that of a machine which did little else.
  const seconds = Math.min(...own.map((result) => result.secondsAnIteration))
  return { head: [String(steps), seconds.toFixed(2)], results: own }
})
console.log(`\n${accuracyTable(['steps', 'seconds an iteration, least'], rows)}`)
bench.close()
