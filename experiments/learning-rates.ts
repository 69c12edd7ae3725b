// `npm run experiment:learning-rates`: the learning rate of each space and objective, chosen alike: powers of ten about the
// library's default, until the best is not at an end; by validation images and the matched network, of a seed of its own.
import { dataError } from '../src/errors.ts'
import { type Cell, readExperiment, runCells } from './cells.ts'
import { FashionBench, OBJECTIVES, type ObjectiveName, SPACES, type SpaceName } from './fashion-runs.ts'
import { resultsFile, scale } from './scale.ts'
import { row } from './tables.ts'

interface Key {
  readonly space: SpaceName
  readonly objective: ObjectiveName
  readonly learningRate: number
}

interface Result {
  /** Validation accuracy of the matched network. */
  readonly accuracy: number
}

const NAME = 'learning-rates'
const FILE = resultsFile(NAME)
const SEED = 100
/** Where each search begins: the objective's defaults. */
const DEFAULTS: Readonly<Record<ObjectiveName, { readonly pixel: number; readonly latent: number }>> = {
  DM: { pixel: 1, latent: 0.1 },
  DC: { pixel: 0.1, latent: 0.1 },
  MTT: { pixel: 1000, latent: 100 },
}

/** The best of what was tried. */
export async function learningRateOf(space: SpaceName, objective: ObjectiveName): Promise<number> {
  const tried = (await readExperiment<Key, Result>(FILE))?.cells ?? []
  const own = tried.filter(({ key }) => key.space === space && key.objective === objective)
  const best = own.toSorted((a, b) => b.result.accuracy - a.result.accuracy)[0]
  if (!best)
    throw dataError(`${FILE} has no learning rate of ${objective}, ${space}.`, 'Run experiment:learning-rates.')
  return best.key.learningRate
}

/** Tries powers of ten of a space and an objective, at least three, until one has two worse neighbours. */
async function search(bench: FashionBench, space: SpaceName, objective: ObjectiveName): Promise<void> {
  const from = DEFAULTS[objective][space === 'pixel' ? 'pixel' : 'latent']
  let exponents = [-1, 0, 1]
  for (;;) {
    const rates = exponents.map((e) => Number((from * 10 ** e).toPrecision(3)))
    const cells = rates.map((learningRate): Cell<Key, Result> => {
      const run = { space, objective, learningRate, iterations: scale.iterations.tuning, seed: SEED }
      return {
        key: { space, objective, learningRate },
        run: async () => ({ accuracy: await bench.validated(run) }),
      }
    })
    await runCells(bench.experiment(NAME, scale.iterations.tuning), cells)
    const best = rates.indexOf(await learningRateOf(space, objective))
    if (best === 0) exponents = [(exponents[0] as number) - 1, ...exponents]
    else if (best === rates.length - 1) exponents = [...exponents, (exponents.at(-1) as number) + 1]
    else break
  }
}

if (import.meta.filename === process.argv[1]) {
  const bench = await FashionBench.open()
  for (const objective of OBJECTIVES) for (const space of SPACES) await search(bench, space, objective)
  console.log(
    `\n${row(['matched', 'space', 'learning rates: validation accuracy', 'best'])}\n${row(Array(4).fill('---'))}`,
  )
  const { cells } = (await readExperiment<Key, Result>(FILE)) ?? { cells: [] }
  for (const objective of OBJECTIVES) {
    for (const space of SPACES) {
      const tried = cells
        .filter(({ key }) => key.space === space && key.objective === objective)
        .toSorted((a, b) => a.key.learningRate - b.key.learningRate)
        .map(({ key, result }) => `${key.learningRate}: ${(100 * result.accuracy).toFixed(1)}`)
      console.log(row([objective, space, tried.join(', '), await learningRateOf(space, objective)]))
    }
  }
  bench.close()
}
