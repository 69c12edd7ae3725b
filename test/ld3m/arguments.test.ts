// What is passed in place of a dataset, an objective or a number is an error that shows it, before any work.
import { expect, test } from 'vitest'
import {
  createDataset,
  dc,
  distill,
  dm,
  estimateDistill,
  estimateTrainPrior,
  evaluate,
  Ld3mError,
  mtt,
  selectClasses,
  splitDataset,
} from '../../src/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

// biome-ignore lint/suspicious/noExplicitAny: as JavaScript calls it
const untyped = (f: unknown) => f as (...args: any[]) => unknown

const dataset = tinyDataset()

const wrong: Record<string, [call: () => unknown, message: string]> = {
  'dm of a number': [() => untyped(dm)(3), 'dm: its options are 3.'],
  'dc with loops of a text': [() => untyped(dc)({ loops: 'papers' }), "dc: loops is 'papers'. Use 'published' or"],
  'dc with half a loop': [() => untyped(dc)({ loops: { outer: 2 } }), 'dc: loops.inner is undefined.'],
  'dc that trains a network which serves once': [
    () => dc({ loops: { outer: 1, inner: 50 } }),
    'dc: loops.inner is 50, but a network that serves one iteration (loops.outer) is never trained.',
  ],
  'dc without loops that trains': [() => dc({ networkBatch: 8 }), 'dc: networkBatch is of no use without loops'],
  'mtt without experts': [() => untyped(mtt)({}), 'mtt: experts is undefined. Pass what trainExperts or openExperts'],
  'mtt that does not await': [
    () => untyped(mtt)({ experts: Promise.resolve() }),
    'mtt: experts is a promise (await it).',
  ],
  'a split of a text': [() => untyped(splitDataset)(dataset, { validationFraction: '0.1' }), "is '0.1'. Give a number"],
  'a split without options': [() => untyped(splitDataset)(dataset), 'splitDataset: its options are undefined.'],
  'one class': [() => untyped(selectClasses)(dataset, 'dress'), "classes is 'dress'. Pass an array of names."],
}

test.each(Object.entries(wrong))('%s is an error', (_, [call, message]) => {
  expect(call).toThrow(Ld3mError)
  expect(call).toThrow(message)
})

/** One black image. */
const square = (side: number, channels: number) => ({
  ...{ height: side, width: side, channels },
  images: new Uint8Array(channels * side * side),
})

test('distill and sample say what came in place of what they need', async () => {
  const prior = tinyPrior(await testDevice())
  const valid = { dataset, prior, objective: dm(), steps: 1 }
  const cases: [options: unknown, message: string][] = [
    [undefined, 'distill: its options are undefined.'],
    [{ ...valid, objective: undefined }, 'objective is undefined. Pass dm(), dc() or mtt({ experts }).'],
    [{ ...valid, objective: 'dm' }, "objective is 'dm'."],
    [{ ...valid, objective: dm }, 'objective is a function.'],
    [{ ...valid, dataset: 'photographs' }, "dataset is 'photographs'. Pass what openDataset gives, awaited."],
    [{ ...valid, onProgress: true }, 'onProgress is true. Pass a function.'],
    [{ ...valid, diffusion: 5 }, 'diffusion: its options are 5.'],
    [{ ...valid, steps: '1' }, "steps is '1'. Use an integer ≥ 1."],
    [{ ...valid, momentum: '0.5' }, "momentum is '0.5'."],
    [{ ...valid, augmentation: 'color' }, "distill: the augmentation is 'color'. Pass an array"],
    [{ ...valid, augmentation: ['colour'] }, "distill: unknown augmentation 'colour'."],
  ]
  const opened = (fields: string) => `Open it with openDataset(…, { ${fields} })`
  const other = createDataset({ ...{ name: 'other', labels: Uint8Array.of(0), classNames: ['a'] }, ...square(16, 3) })
  cases.push(
    [{ ...valid, dataset: other }, `${opened('size: 8, channels: 1')}, or use another prior.`],
    [{ ...valid, dataset: { ...other, ...square(8, 3) } }, `${opened('channels: 1')}, or use another prior.`],
    [
      { ...valid, dataset: { ...other, ...square(4, 1) } },
      `${opened('size: 8')}, or pad it (padTo), or use another prior.`,
    ],
  )
  for (const [options, message] of cases) await expect(untyped(distill)(options)).rejects.toThrow(message)
  await expect(untyped(evaluate)({ train: dataset })).rejects.toThrow('evaluate: students is undefined.')
  await expect(untyped(estimateDistill)(valid, { times: 1 })).rejects.toThrow(
    "estimateDistill: unknown option 'times'.",
  )
  await expect(untyped(estimateTrainPrior)(valid, { times: 1 })).rejects.toThrow(
    "estimateTrainPrior: unknown option 'times'.",
  )
  const sample = untyped(prior.sample.bind(prior))
  await expect(sample({ classId: '1' })).rejects.toThrow("classId is '1'. The prior's classes are 0 to 1.")
  await expect(sample({ guidance: '3' })).rejects.toThrow("guidance is '3'. Use a number")
  await expect(sample({ eta: '0' })).rejects.toThrow("eta is '0'. Use a number from 0 to 1.")
  await expect(sample(3)).rejects.toThrow('sample: its options are 3.')
  prior.dispose()
})
