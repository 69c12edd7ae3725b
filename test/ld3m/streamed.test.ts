import { beforeAll, describe, expect, test } from 'vitest'
import { createStreamedDataset, type Dataset, type StreamedDataset } from '../../src/data/index.ts'
import { dataError } from '../../src/errors.ts'
import type { Device } from '../../src/gpu/index.ts'
import {
  DistillationStopped,
  type DistillSettings,
  dc,
  distill,
  dm,
  evaluate,
  type LatentDiffusionSpaceOptions,
  normalizationOf,
  type Objective,
  type Prior,
  planDistill,
  randomReal,
} from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
let prior: Prior
const memory = tinyDataset()
const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
type Options = DistillSettings & LatentDiffusionSpaceOptions
const options = (more: Partial<Options>): Options => ({
  ...{ dataset: memory, prior, student, objective: dm(), imagesPerClass: 2, steps: 3, realBatch: 4 },
  diffusion: { steps: 2 },
  ...more,
})

beforeAll(async () => {
  device = await testDevice()
  prior = tinyPrior(device)
})

/** The images of a dataset in memory, one by one, later. */
function streamed({ images, count: _, ...info }: Dataset, cacheBytes: number, before = async (_index: number) => {}) {
  const load = async (index: number) => {
    await before(index)
    return images.slice(index * 64, (index + 1) * 64)
  }
  return createStreamedDataset({ ...info, load, cacheBytes })
}

describe('a streamed dataset', () => {
  test.each([dm(), dc()])(
    'distils to the same bits as one in memory, whatever its cache holds: %o',
    async (objective) => {
      const expected = await distill(options({ objective }))
      for (const cacheBytes of [0, 300, 2 ** 20]) {
        expect(await distill(options({ objective, dataset: streamed(memory, cacheBytes) }))).toEqual(expected)
      }
    },
  )

  test('needs the GPU memory that is planned', async () => {
    const dataset = streamed(memory, 0)
    const { peakBytes } = planDistill(options({ dataset }))
    expect(peakBytes).toBe(planDistill(options({})).peakBytes)
    const inUse: number[] = []
    device.resetPeak()
    await distill(options({ dataset, onProgress: ({ memory }) => void inUse.push(memory.peak) }))
    expect(inUse.at(-1)).toBe(peakBytes)
  })

  test("reads an iteration's images once, and the next one's before it is asked for", async () => {
    const batches: number[] = []
    const inner = streamed(memory, 0)
    const dataset: StreamedDataset = {
      ...{ ...inner, mean: [0.5], std: [0.25] },
      read: (indices) => {
        batches.push(indices.length)
        return inner.read(indices)
      },
    }
    const seen: number[] = []
    await distill(options({ dataset, onProgress: () => void seen.push(batches.length) }))
    // Initial images, those that the dataset is known by, then one batch of four of both classes for each of three
    // iterations; none is read for a fourth.
    expect(batches).toEqual([4, 16, 8, 8, 8])
    expect(seen).toEqual([4, 5, 5])
  })

  test.each([
    ['an error of this library', (what: string) => dataError(what, 'Repair it.')],
    ['any other error', (what: string) => new Error(what)],
  ])('stops with the result so far when an image cannot be read: %s', async (_, errorOf) => {
    let broken = false
    const before = async (index: number) => {
      if (broken) throw errorOf(`Cannot read image ${index}.`)
    }
    const dataset = streamed(memory, 0, before)
    const onProgress = ({ iteration }: { iteration: number }) => {
      broken = iteration === 2
    }
    const error = await distill(options({ dataset, steps: 9, onProgress })).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(DistillationStopped)
    expect(error).toMatchObject({
      code: 'data',
      message: expect.stringMatching(/could not be read after \d of 9 iterations\. .*Cannot read image \d+/),
    })
    expect((error as DistillationStopped).result.loss.length).toBeGreaterThanOrEqual(2)
    expect((error as DistillationStopped).result.latents!.data.every(Number.isFinite)).toBe(true)
  })

  test('is read ahead for as many batches as an objective states, and no more', async () => {
    const twice = (realBatches?: number): Objective => ({
      ...dm(),
      ...(realBatches !== undefined && { realBatches }),
      start: (run) => {
        const matcher = dm().start(run)
        return {
          ...matcher,
          match: (context) => {
            for (let k = 0; k < context.classes; k++) context.realBatch(k)
            return matcher.match(context)
          },
        }
      },
    })
    const expected = await distill(options({ objective: twice() }))
    const dataset = streamed(memory, 0)
    expect(await distill(options({ objective: twice(2), dataset }))).toEqual(expected)
    await expect(distill(options({ objective: twice(), dataset }))).rejects.toThrow(
      /asked for 2 batches of real images of one class, but states 1.*realBatches/,
    )
  })

  test('is evaluated to the same accuracy as one in memory', async () => {
    const run = async (test: Dataset | StreamedDataset) => {
      const common = { device, test, normalization: normalizationOf(memory), students: [student], runs: 2, steps: 20 }
      return await evaluate({ ...common, train: (draw) => randomReal(test, 4, draw) })
    }
    expect(await run(streamed(memory, 100))).toEqual(await run(memory))
  })
})

test('statistics that a dataset states are those that its images are normalised by', async () => {
  const dataset = { ...memory, mean: [0.25], std: [0.5] }
  expect(normalizationOf(dataset)).toEqual({ mean: [0.25], std: [0.5] })
  expect((await distill(options({ dataset, steps: 1 }))).normalization).toEqual({ mean: [0.25], std: [0.5] })
})

test('a class without images is refused by its name', async () => {
  const labels = new Uint8Array(memory.count)
  const empty = distill(options({ dataset: { ...memory, labels }, init: 'gaussian' }))
  await expect(empty).rejects.toThrow(/Class 'bright' of 'tiny' has no images.*selectClasses/)
})
