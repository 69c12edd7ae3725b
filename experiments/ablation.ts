// `npm run experiment:ablation`: what LD3M's parts bring: conditionings, latents or both learned, with the code's residual
// and without (the paper's Table 7). DM, one image a class of Fashion-MNIST, accuracies as in `experiment:spaces`.
import { type Cell, runCells } from './cells.ts'
import { type Distilled, FashionBench } from './fashion-runs.ts'
import { learningRateOf } from './learning-rates.ts'
import { scale } from './scale.ts'
import { accuracyTable } from './tables.ts'

const LEARN = ['conditioning', 'latents', 'both'] as const
const RESIDUALS = ['none', 'code'] as const

interface Key {
  readonly learn: (typeof LEARN)[number]
  readonly residual: (typeof RESIDUALS)[number]
  readonly seed: number
}

const bench = await FashionBench.open()
const learningRate = await learningRateOf('latent-diffusion', 'DM')
const cells: Cell<Key, Distilled>[] = []
for (let seed = 0; seed < scale.seeds; seed++) {
  for (const learn of LEARN) {
    for (const residual of RESIDUALS) {
      const run = { space: 'latent-diffusion', objective: 'DM', diffusion: { residual }, learn } as const
      const numbers = { iterations: scale.iterations.parts, seed, learningRate }
      cells.push({
        key: { learn, residual, seed },
        run: () => bench.distilled(`${learn}-${residual}-${seed}`, { ...run, ...numbers }),
      })
    }
  }
}
const results = await runCells(bench.experiment('ablation', scale.iterations.parts), cells)

const rows = LEARN.flatMap((learn) =>
  RESIDUALS.map((residual) => {
    const own = results.filter(({ key }) => key.learn === learn && key.residual === residual)
    return { head: [learn, residual], results: own.map(({ result }) => result) }
  }),
)
console.log(`\n${accuracyTable(['learned', 'residual'], rows)}`)
bench.close()
