// `npm run experiment:gradient-matching`: what LD3M with DC depends on. Variants of the cells of `experiment:spaces`, whose
// learning rates and iterations they have unless they say otherwise; one image a class of Fashion-MNIST.
import { type Cell, runCells } from './cells.ts'
import { type Distilled, FashionBench, type FashionRun } from './fashion-runs.ts'
import { learningRateOf } from './learning-rates.ts'
import { scale } from './scale.ts'
import { accuracyTable } from './tables.ts'

const iterations = scale.iterations.spaces
const longer = 3 * iterations

const VARIANTS = {
  'latents alone': { space: 'latent-diffusion', learn: 'latents' },
  'one step': { space: 'latent-diffusion', diffusion: { steps: 1 } },
  'no guidance': { space: 'latent-diffusion', diffusion: { guidance: 1 } },
  'three times the iterations': { space: 'latent-diffusion', iterations: longer },
  'autoencoder, three times the iterations': { space: 'autoencoder', iterations: longer },
  'pixels, three times the iterations': { space: 'pixel', iterations: longer },
} as const satisfies Record<string, Partial<FashionRun> & Pick<FashionRun, 'space'>>

interface Key {
  readonly variant: keyof typeof VARIANTS
  readonly seed: number
}

const names = Object.keys(VARIANTS) as Key['variant'][]
const bench = await FashionBench.open()
const cells: Cell<Key, Distilled>[] = []
for (let seed = 0; seed < scale.seeds; seed++) {
  for (const variant of names) {
    const run = { objective: 'DC', iterations, seed, ...VARIANTS[variant] } as const
    cells.push({
      key: { variant, seed },
      run: async () =>
        bench.distilled(`gradient-matching-${names.indexOf(variant)}-${seed}`, {
          ...run,
          learningRate: await learningRateOf(run.space, 'DC'),
        }),
    })
  }
}
const results = await runCells(bench.experiment('gradient-matching', iterations), cells)

const rows = names.map((variant) => {
  const own = results.filter(({ key }) => key.variant === variant)
  return { head: [variant], results: own.map(({ result }) => result) }
})
console.log(`\n${accuracyTable(['variant'], rows)}`)
bench.close()
