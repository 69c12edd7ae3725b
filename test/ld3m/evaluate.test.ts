import { beforeAll, describe, expect, test } from 'vitest'
import { createDataset, createStreamedDataset, type Dataset, type StreamedDataset } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import {
  chooseIteration,
  type DistillProgress,
  describeProtocol,
  distill,
  dm,
  type EvaluateOptions,
  evaluate,
  normalizationOf,
  paperProtocol,
  randomReal,
  summarize,
  type TrainingData,
} from '../../src/ld3m/index.ts'
import { alexNet, convNet, resNet, vit } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const dataset = tinyDataset()
const task = { channels: 1, size: 8, classes: 2, depth: 1, width: 8, norm: 'none' } as const
const student = convNet(task)
const set = { images: { shape: [2, 1, 8, 8], data: new Float32Array(128) }, labels: Int32Array.of(0, 1) }
const optionsOf = (more: Partial<EvaluateOptions> = {}): EvaluateOptions => ({
  ...{ device, test: dataset, normalization: normalizationOf(dataset), students: [student], runs: 2, steps: 60 },
  ...{ train: () => randomReal(dataset, 8, 0), learningRate: 0.05, augmentation: ['flip'] },
  ...more,
})

/** Grey noise of two classes. */
const randomImages = (count: number, side: number): Dataset =>
  createDataset({
    ...{ name: 'noise', channels: 1, height: side, width: side, classNames: dataset.classNames },
    images: Uint8Array.from({ length: count * side * side }, (_, i) => (i * 7919) % 256),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 2),
  })

/** The same, read on demand; `onRead` is told what is read. */
const streamed = ({ images, count: _, ...info }: Dataset, onRead: (indices: number[]) => void): StreamedDataset => {
  const size = info.channels * info.height * info.width
  const load = async (i: number) => images.slice(i * size, (i + 1) * size)
  const found = createStreamedDataset({ ...info, load })
  return {
    ...found,
    read: async (indices) => {
      onRead(Array.from(indices))
      return await found.read(indices)
    },
  }
}

describe('evaluate', () => {
  test('learns to tell bright images from dark ones, and repeats with one seed', async () => {
    const [a, b] = [await evaluate(optionsOf()), await evaluate(optionsOf())]
    expect(a['ConvNet-1']?.runs.length).toBe(2)
    expect(a['ConvNet-1']?.mean).toBeGreaterThan(0.9)
    expect(b).toEqual(a)
  })

  test('takes mini-batches of a larger set, and a set of its own for each run', async () => {
    const runs: number[] = []
    const train = (run: number) => {
      runs.push(run)
      return randomReal(dataset, 8, run)
    }
    const accuracy = await evaluate(optionsOf({ train, batch: 5 }))
    expect(accuracy['ConvNet-1']?.mean).toBeGreaterThan(0.8)
    expect(new Set(runs)).toEqual(new Set([0, 1]))
  })

  test('trains on a whole dataset, in memory or too large to keep on the GPU, alike', async () => {
    const { steps: _, ...rest } = optionsOf({ epochs: 4, batch: 6, runs: 1, augmentation: [] })
    const whole = await evaluate({ ...rest, train: dataset })
    expect(whole['ConvNet-1']?.mean).toBeGreaterThan(0.9)
    const set = {
      images: { shape: [dataset.count, 1, 8, 8], data: Float32Array.from(dataset.images, (v) => v / 255) },
      labels: Int32Array.from(dataset.labels),
    }
    expect(await evaluate({ ...rest, train: set })).toEqual(whole)
  })

  test('a pass over the images takes all of them, the last step what is left, and has one learning rate', async () => {
    const reads: number[][] = []
    const five = streamed(randomImages(5, 8), (indices) => reads.push(indices))
    const { steps: _, learningRate: __, ...rest } = optionsOf({ runs: 1, batch: 2, epochs: 2 })
    await evaluate({ ...rest, train: five })
    expect(reads.map(({ length }) => length)).toEqual([2, 2, 1, 2, 2, 1])
    const passes = [reads.slice(0, 3), reads.slice(3)].map((pass) => pass.flat().sort())
    expect(passes).toEqual([
      [0, 1, 2, 3, 4],
      [0, 1, 2, 3, 4],
    ])
    // A warm-up of one pass does not leave its beginning, where nothing is learned.
    const accuracy = async (more: Partial<EvaluateOptions>) => {
      const options = { ...rest, augmentation: [], train: dataset, batch: 1, warmup: 1, ...more }
      return (await evaluate(options))['ConvNet-1']?.mean
    }
    const untrained = await accuracy({ epochs: 1, learningRate: 1e-12 })
    expect(await accuracy({ epochs: 1, learningRate: 0.05 })).toBe(untrained)
    expect(await accuracy({ epochs: 4, learningRate: 0.05 })).not.toBe(untrained)
  })

  test('a moving average follows a training that ends before its first pass', async () => {
    const accuracy = async (learningRate: number) =>
      (await evaluate(optionsOf({ train: dataset, batch: 2, steps: 11, runs: 1, averaging: 0.9, learningRate })))[
        'ConvNet-1'
      ]?.mean
    expect(await accuracy(0.1)).not.toBe(await accuracy(1e-12))
  })

  test('tests fewer images at once the larger they are', async () => {
    const reads: number[] = []
    const large = streamed(randomImages(9, 256), ({ length }) => reads.push(length))
    const wide = convNet({ channels: 1, size: 256, classes: 2, depth: 1, width: 1, norm: 'none' })
    await evaluate(optionsOf({ test: large, train: randomImages(2, 256), students: [wide], runs: 1, steps: 1 }))
    expect(reads).toEqual([3, 3, 3])
  })

  test('a rate for each student, a warm-up and a moving average change what is learned', async () => {
    const accuracy = async (more: Partial<EvaluateOptions>) =>
      (await evaluate(optionsOf({ steps: 40, runs: 1, ...more })))['ConvNet-1']?.mean as number
    expect(await accuracy({ learningRate: () => 0.05 })).toBe(await accuracy({ learningRate: 0.05 }))
    expect(await accuracy({ averaging: 0.9, warmup: 0.2 })).toBeGreaterThan(0.9)
    // The function is asked for the student.
    const seen: string[] = []
    const learningRate = ({ name }: { name: string }) => {
      seen.push(name)
      return 1e-12
    }
    await evaluate(optionsOf({ runs: 1, steps: 1, learningRate }))
    expect(new Set(seen)).toEqual(new Set(['ConvNet-1']))
  })

  test('a distilled learning rate is what students are trained with, unless another is asked for', async () => {
    const { learningRate: _, ...rest } = optionsOf({ runs: 1, steps: 20 })
    const real = await randomReal(dataset, 8, 0)
    const accuracy = async (train: TrainingData, learningRate?: number) =>
      (await evaluate({ ...rest, train, ...(learningRate !== undefined && { learningRate }) }))['ConvNet-1']?.mean
    const learned = { ...real, studentLearningRate: 0.05 }
    expect(await accuracy(learned)).toBe(await accuracy(real, 0.05))
    expect(await accuracy(learned)).toBeGreaterThan(0.9)
    // Where nothing is learned, a network is as good as at its start.
    expect(await accuracy({ ...real, studentLearningRate: 1e-12 })).toBe(await accuracy(real, 1e-12))
    expect(await accuracy({ ...real, studentLearningRate: 1e-12 }, 0.05)).toBe(await accuracy(learned))
    expect(await accuracy(real, 1e-12)).not.toBe(await accuracy(learned))
    await expect(accuracy({ ...real, studentLearningRate: -1 })).rejects.toThrow(/learningRate is -1/)
  })

  test('networks without norms have a lower rate, unless one was distilled or is asked for', () => {
    const sizes = { channels: 1, size: 32, classes: 2 }
    const students = [alexNet(sizes), convNet({ ...sizes, depth: 3 }), resNet(sizes), vit(sizes)]
    const rates = (given: number | undefined, learned: number | undefined) =>
      Object.values(
        describeProtocol({ ...(given !== undefined && { learningRate: given }) }, students, learned)
          .learningRate as object,
      )
    expect(rates(undefined, undefined)).toEqual([0.003, 0.01, 0.01, 0.003])
    expect(rates(undefined, 0.02)).toEqual([0.02, 0.02, 0.02, 0.02])
    expect(rates(0.1, 0.02)).toEqual([0.1, 0.1, 0.1, 0.1])
  })

  test("the paper's protocol holds its numbers, and runs", async () => {
    const { learningRate, ...rest } = paperProtocol()
    expect(rest).toEqual({ runs: 5, epochs: 1000, batch: 256, warmup: 0.5, averaging: 0.995 })
    const rate = learningRate as (student: { name: string }) => number
    expect([rate({ name: 'VGG-11' }), rate({ name: 'ViT' })]).toEqual([1e-4, 1e-3])
    const { steps: _, ...base } = optionsOf()
    const accuracy = await evaluate({ ...base, ...paperProtocol(), runs: 1, epochs: 20, batch: 8 })
    expect(accuracy['ConvNet-1']?.mean).toBeGreaterThanOrEqual(0)
  })

  test('the iteration is chosen by validation images, the earliest of the best', async () => {
    const choice = chooseIteration({
      ...{ device, validation: dataset, students: [student], runs: 1, steps: 30, every: 2 },
      ...{ learningRate: 0.05, augmentation: [] },
    })
    expect(() => choice.best).toThrow(/nothing was evaluated/)
    const sets = new Map<number, readonly number[]>()
    const onProgress = async (progress: DistillProgress) => {
      sets.set(progress.iteration, [...(await progress.snapshot()).images.data])
      await choice.onProgress(progress)
    }
    await distill({ dataset, device, space: 'pixel', objective: dm(), student, steps: 5, onProgress, realBatch: 4 })
    expect(choice.history.map(({ iteration }) => iteration)).toEqual([2, 4, 5])
    const { best } = choice
    const highest = Math.max(...choice.history.map(({ mean }) => mean))
    expect(best.mean).toBe(highest)
    expect(best.iteration).toBe(choice.history.find(({ mean }) => mean === highest)?.iteration)
    expect([...best.set.images.data]).toEqual(sets.get(best.iteration))
  })

  test('what chose an iteration is not trained again to judge it', async () => {
    const train = await distill({ dataset, device, space: 'pixel', objective: dm(), student, steps: 1, realBatch: 4 })
    const alike = { device, students: [student], runs: 6, steps: 3, learningRate: 0.05 }
    const choice = chooseIteration({ ...alike, validation: dataset })
    await choice.consider(1, train)
    const judged = await evaluate({ ...alike, train, test: dataset, normalization: train.normalization })
    expect(choice.best.accuracy[student.name]?.runs).not.toEqual(judged[student.name]?.runs)
  })

  test('goes on from the trainings that were done, with the accuracies of one that was not stopped', async () => {
    const students = [student, convNet({ ...task, depth: 2 })]
    const rest = optionsOf({ students, runs: 3, steps: 4 })
    const done: Record<string, number[]> = {}
    const controller = new AbortController()
    const onProgress: EvaluateOptions['onProgress'] = async (progress) => {
      // What comes next waits for this.
      await new Promise((resolve) => setTimeout(resolve, 5))
      done[progress.student] = [...(done[progress.student] ?? []), progress.accuracy]
      if (progress.done === 4) controller.abort()
    }
    await expect(evaluate({ ...rest, onProgress, signal: controller.signal })).rejects.toThrow(/aborted/)
    expect(Object.values(done).map(({ length }) => length)).toEqual([3, 1])
    const steps: [string, number, number][] = []
    const resumed = await evaluate({
      ...{ ...rest, resume: done },
      onProgress: ({ student, run, done }) => void steps.push([student, run, done]),
    })
    expect(steps).toEqual([
      ['ConvNet-2', 1, 5],
      ['ConvNet-2', 2, 6],
    ])
    expect(resumed).toEqual(await evaluate(rest))
  })

  test('sees images as the set says that it trains on, or as the dataset is', async () => {
    const normalization = normalizationOf(dataset)
    const { normalization: _, ...rest } = optionsOf({ steps: 4 })
    const train = { ...(await randomReal(dataset, 8, 0)), normalization }
    expect(await evaluate({ ...rest, train })).toEqual(await evaluate({ ...rest, train, normalization }))
    const whole = { ...rest, train: dataset, batch: 8 }
    expect(await evaluate(whole)).toEqual(await evaluate({ ...whole, normalization }))
    await expect(evaluate(rest)).rejects.toThrow(/normalization is missing.*normalizationOf\(dataset\)/)
    const wrong = (value: unknown) => evaluate({ ...rest, train, normalization: value as typeof normalization })
    await expect(wrong('mean')).rejects.toThrow(/normalization is 'mean'/)
    await expect(wrong({ mean: [0, 0], std: [1, 1] })).rejects.toThrow(/mean has 2 values for 1 channels/)
    await expect(wrong({ mean: [0], std: [0] })).rejects.toMatchObject({ code: 'numeric' })
  })

  test('what a network learns does not depend on which others are there', async () => {
    const other = convNet({ ...task, depth: 2 })
    const short = (students: EvaluateOptions['students']) => evaluate(optionsOf({ students, steps: 4 }))
    const both = await short([student, other])
    expect(await short([other])).toEqual({ [other.name]: both[other.name] })
    expect(await short([other, student])).toEqual(both)
  })

  test('gives all memory back, also when it is aborted', async () => {
    const before = device.memory.current
    await evaluate(optionsOf({ steps: 2 }))
    await expect(evaluate(optionsOf({ signal: AbortSignal.abort() }))).rejects.toThrow(/aborted/)
    await expect(evaluate(optionsOf({ momentum: 2 }))).rejects.toThrow(/momentum is 2/)
    await expect(evaluate(optionsOf({ averaging: 2 }))).rejects.toThrow(/averaging is 2/)
    expect(device.memory.current).toBe(before)
  })

  test.each<[string, Partial<EvaluateOptions>, RegExp]>([
    ['no students', { students: [] }, /students is empty/],
    ['two students of one name', { students: [student, student] }, /two students are named 'ConvNet-1'/],
    ['too few outputs', { students: [convNet({ ...task, classes: 1 })] }, /ConvNet-1 has 1 outputs; the dataset has 2/],
    ['another size', { students: [convNet({ ...task, size: 16 })] }, /takes images of 1×16×16; the dataset has 1×8×8/],
    [
      'fewer labels than images',
      { train: { ...set, labels: Int32Array.of(1) } },
      /\[2, 1, 8, 8\].* 128 values and 1 labels/,
    ],
    [
      'a label without an output',
      { train: { ...set, labels: Int32Array.of(1, 2) } },
      /label 2; ConvNet-1 has 2 outputs/,
    ],
    [
      'the same classes in another order',
      { train: { ...set, classNames: ['bright', 'dark'] } },
      /class 0 is 'bright' in the images to train on, and 'dark' in those to test on/,
    ],
    [
      'fewer classes',
      { train: { ...set, classNames: ['0'] } },
      /class 1 is 'none' in the images to train on, and 'bright' in those to test on/,
    ],
    ['a negative decay', { weightDecay: -1 }, /weightDecay is -1/],
    ['no runs', { runs: 0 }, /runs is 0/],
    ['half a step', { steps: 0.5 }, /steps is 0.5/],
    ['a negative rate', { learningRate: -1 }, /learningRate is -1/],
    ['a text of augmentations', { augmentation: 'color' } as object, /evaluate: the augmentation is 'color'/],
    ['an unknown option', { epoch: 3 } as object, /unknown option 'epoch'.*epochs/],
    ['steps and epochs at once', { epochs: 3 }, /steps and epochs are both given/],
    ['a warm-up of two trainings', { warmup: 2 }, /warmup is 2/],
    ['an average of nothing but the past', { averaging: 1 }, /averaging is 1/],
  ])('refuses %s', async (_, more, message) => {
    await expect(evaluate(optionsOf(more))).rejects.toThrow(message)
  })

  test('of a training that diverges is an error, and no accuracy', async () => {
    // Its first layers are NaN before its loss is.
    const students = [convNet({ channels: 1, size: 8, classes: 2, depth: 3, width: 4 })]
    const options = optionsOf({ students, learningRate: 1e12, steps: 4, runs: 1, augmentation: [] })
    await expect(evaluate(options)).rejects.toThrow(
      expect.objectContaining({ code: 'numeric', message: expect.stringMatching(/^ConvNet-3 diverged: /) }),
    )
  })

  test('summarises runs by mean and sample standard deviation', () => {
    const { mean, std } = summarize([0.6, 0.7, 0.8])
    expect(mean).toBeCloseTo(0.7, 12)
    expect(std).toBeCloseTo(0.1, 12)
    expect(summarize([0.5]).std).toBe(0)
  })
})
