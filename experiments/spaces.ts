// `npm run experiment:spaces`: Fashion-MNIST, one image a class: pixels, autoencoder and LD3M, each with DC, DM and MTT,
// on the network that was matched and on four that were not; random real images and the whole dataset as brackets. Ten
// images a class for DM. Learning rates are those that `experiment:learning-rates` chose.
import { type Cell, runCells } from './cells.ts'
import { FashionBench, OBJECTIVES, type ObjectiveName, SPACES, type SpaceName, type Taught } from './fashion-runs.ts'
import { learningRateOf } from './learning-rates.ts'
import { scale } from './scale.ts'
import { accuracyTable } from './tables.ts'

interface Key {
  readonly from: SpaceName | 'random real' | 'whole dataset'
  readonly objective?: ObjectiveName
  readonly imagesPerClass?: number
  readonly seed: number
}

const bench = await FashionBench.open()
const whole = { key: { from: 'whole dataset', ...scale.whole, seed: 0 } } as const
const cells: Cell<Key, Taught>[] = [{ ...whole, run: () => bench.teach(bench.train, 0, scale.whole) }]
for (const [imagesPerClass, objectives] of [
  [1, OBJECTIVES],
  [10, ['DM']],
] as const) {
  for (let seed = 0; seed < scale.seeds; seed++) {
    const key = { from: 'random real', imagesPerClass, seed } as const
    cells.push({ key, run: () => bench.randomReal(imagesPerClass, seed) })
    for (const objective of objectives) {
      for (const from of SPACES) {
        const run = { objective, imagesPerClass, seed, space: from, iterations: scale.iterations.spaces }
        cells.push({
          key: { from, objective, imagesPerClass, seed },
          run: async () => {
            const name = `${from}-${objective}-${imagesPerClass}-${seed}`
            return bench.distilled(name, { ...run, learningRate: await learningRateOf(from, objective) })
          },
        })
      }
    }
  }
}
const results = await runCells(bench.experiment('spaces', scale.iterations.spaces), cells)

const kinds = [...new Set(results.map(({ key: { seed: _, ...kind } }) => JSON.stringify(kind)))]
const rows = kinds.map((kind) => {
  const own = results.filter(({ key: { seed: _, ...other } }) => JSON.stringify(other) === kind)
  const { from, objective = '–', imagesPerClass = 'all' } = JSON.parse(kind) as Key
  return { head: [String(imagesPerClass), from, objective], results: own.map(({ result }) => result) }
})
console.log(`\n${accuracyTable(['images a class', 'trained on', 'matched'], rows)}`)
bench.close()
