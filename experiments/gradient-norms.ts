// `npm run experiment:gradient-norms`: how much of the gradient reaches the latents after so many steps, with and without
// the residual (the paper's Table 1 and its claim). Means over seeds of ‖∂L/∂Z‖ of the first iteration.
import { dc, distill, dm } from '../src/ld3m/index.ts'
import { openDevice } from '../src/node/index.ts'
import { type Cell, runCells } from './cells.ts'
import { fashion, fashionPrior } from './fashion.ts'
import { resultsFile, scale } from './scale.ts'

interface Key {
  readonly objective: 'DM' | 'DC'
  readonly residual: 'none' | 'paper' | 'code'
  readonly steps: number
  readonly seed: number
}

/** Euclidean norms. */
interface Norms {
  readonly latents: number
  readonly conditioning: number
}

const STEPS = [1, 2, 5, 10, 20, 40, 60, 90]
const SEEDS = [0, 1, 2]

const device = await openDevice()
const { train } = await fashion()
const prior = await fashionPrior(device)

const cells: Cell<Key, Norms>[] = []
for (const seed of SEEDS) {
  for (const [objective, make] of [['DM', dm] as const, ['DC', dc] as const]) {
    for (const steps of STEPS) {
      for (const residual of ['none', 'paper', 'code'] as const) {
        cells.push({
          key: { objective, residual, steps, seed },
          run: async () => {
            let norms: Norms | undefined
            await distill({
              ...{ dataset: train, prior, objective: make(), student: scale.seen, steps: 1, seed },
              diffusion: { steps, residual, checkpoint: true },
              onProgress: ({ gradientNorm }) => {
                norms = gradientNorm as Norms
              },
            })
            return norms as Norms
          },
        })
      }
    }
  }
}

const experiment = { file: resultsFile('gradient-norms'), name: 'gradient-norms', settings: {} }
const results = await runCells({ ...experiment, adapter: device.info.description }, cells)

for (const objective of ['DM', 'DC'] as const) {
  console.log(`\n${objective}: ‖∂L/∂Z‖, mean over ${SEEDS.length} seeds\n`)
  console.log(`| steps | ${STEPS.join(' | ')} |\n|---|${STEPS.map(() => '---').join('|')}|`)
  for (const residual of ['none', 'paper', 'code'] as const) {
    const means = STEPS.map((steps) => {
      const norms = results
        .filter(({ key }) => key.objective === objective && key.residual === residual && key.steps === steps)
        .map(({ result }) => result.latents)
      return (norms.reduce((a, b) => a + b, 0) / norms.length).toPrecision(3)
    })
    console.log(`| ${residual} | ${means.join(' | ')} |`)
  }
}
prior.dispose()
device.destroy()
