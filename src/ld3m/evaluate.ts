import { HostRandom, noGrad, ops, scope, type Tensor, tensor } from '../autograd/index.ts'
import {
  ALL_AUGMENTATIONS,
  type AnyDataset,
  type AugmentationStrategy,
  drawAugmentation,
  indicesByClass,
  readImages,
  toUnit,
} from '../data/index.ts'
import { Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { disposeState, type HostTensor, initialize, Params, type StateDict, type Student } from '../models/index.ts'
import { cosineSchedule, Sgd } from '../optim/index.ts'
import { type Normalization, normalize } from './normalization.ts'
import { atLeastOne, positive, seedOf } from './options.ts'
import { pick } from './real-images.ts'
import { labelTensor, trainStep } from './student-training.ts'
import { groupedLabels } from './synthetic.ts'

/** Images to train on. */
export interface TrainingSet {
  /** [M, C, H, W] in [0, 1]. */
  readonly images: HostTensor
  readonly labels: Int32Array
}

/** Test accuracy of one architecture over several runs, as fractions 0…1. */
export interface Accuracy {
  readonly mean: number
  /** Sample standard deviation; 0 for a single run. */
  readonly std: number
  readonly runs: readonly number[]
}

export interface EvaluateOptions {
  device: Device
  /** What to train on; a function is asked for each run's own set. */
  train: TrainingSet | ((run: number) => TrainingSet | Promise<TrainingSet>)
  /** Real images to test on; all of them are on the GPU at once. */
  test: AnyDataset
  normalization: Normalization
  /** Architectures to train, by their names. */
  students: readonly Student[]
  /** Trainings of each architecture, each from its own initial parameters. Default 3. */
  runs?: number
  /** Steps of a training. Default 300. */
  steps?: number
  /** Images a step, at most. Default 256. */
  batch?: number
  /** SGD's initial learning rate; it falls to 0 by a cosine. Default 0.01. */
  learningRate?: number
  /** Operations of augmentation, drawn for each image. Default all six. */
  augmentation?: AugmentationStrategy
  /** Default 0. */
  seed?: number
  signal?: AbortSignal
  /** Called after every training. */
  onProgress?: (progress: EvaluateProgress) => void
}

export interface EvaluateProgress {
  readonly student: string
  readonly run: number
  readonly accuracy: number
  /** Trainings done and in all. */
  readonly done: number
  readonly total: number
}

const KNOWN = [
  ...['device', 'train', 'test', 'normalization', 'students', 'runs', 'steps', 'batch', 'learningRate'],
  ...['augmentation', 'seed', 'signal', 'onProgress'],
]

const MOMENTUM = 0.9
const WEIGHT_DECAY = 5e-4
const TEST_BATCH = 250
/** Steps between waits for the GPU, so that an abort is noticed and the queue stays short. */
const STEPS_A_WAIT = 25

/**
 * Trains each architecture on the given images alone and tests it on real ones: what a distilled set is
 * judged by. SGD with momentum 0.9 and weight decay 5e-4, cosine schedule, augmentation on every batch.
 * @returns accuracies by the students' names
 * @throws Ld3mError `option` or `shape` for input that does not fit, `numeric` if a training diverges, `aborted`
 */
export async function evaluate(options: EvaluateOptions): Promise<Record<string, Accuracy>> {
  rejectUnknownOptions('evaluate', options, KNOWN)
  const { device, test, normalization, students, signal } = options
  const runs = atLeastOne('evaluate', 'runs', options.runs ?? 3)
  const seed = seedOf('evaluate', options.seed ?? 0)
  if (students.length === 0) throw optionError('evaluate: students is empty.', 'Name at least one architecture.')
  const names = students.map((s) => s.name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) throw optionError(`evaluate: two students are named '${twice}'.`, 'Evaluate them in separate calls.')
  const [, c, h, w] = (await trainingSet(options, 0)).images.shape
  if (c !== test.channels || h !== test.height || w !== test.width) {
    throw shapeError(
      `evaluate: trains on images of ${c}×${h}×${w}, tests on ${test.channels}×${test.height}×${test.width}.`,
      'Pad or resize one of them.',
    )
  }
  const testBatches = await uploadTest(device, test, normalization)
  const results: Record<string, Accuracy> = {}
  try {
    let done = 0
    for (const [s, student] of students.entries()) {
      const accuracies: number[] = []
      for (let run = 0; run < runs; run++) {
        const random = new HostRandom({ seed, stream: run }).fork(`evaluate ${s}`)
        const state = await train(options, student, await trainingSet(options, run), random)
        const accuracy = await testAccuracy(student, state, testBatches, test).finally(() => disposeState(state))
        accuracies.push(accuracy)
        options.onProgress?.({ student: student.name, run, accuracy, done: ++done, total: students.length * runs })
        throwIfAborted(signal)
      }
      results[student.name] = summarize(accuracies)
    }
    return results
  } finally {
    for (const batch of testBatches) batch.dispose()
  }
}

const trainingSet = async ({ train }: EvaluateOptions, run: number): Promise<TrainingSet> =>
  typeof train === 'function' ? await train(run) : train

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new Ld3mError('aborted', 'The evaluation was aborted.', 'Run it again.')
}

/** Mean and sample standard deviation. */
export function summarize(runs: readonly number[]): Accuracy {
  const mean = runs.reduce((a, b) => a + b, 0) / runs.length
  const squares = runs.reduce((a, b) => a + (b - mean) ** 2, 0)
  return { mean, std: runs.length > 1 ? Math.sqrt(squares / (runs.length - 1)) : 0, runs: [...runs] }
}

/** Random real images, as many a class as a distilled set has: the baseline. */
export async function randomReal(dataset: AnyDataset, imagesPerClass: number, seed: number): Promise<TrainingSet> {
  const random = new HostRandom({ seed, stream: 0 }).fork('random real')
  const chosen = indicesByClass(dataset).flatMap((of, k) =>
    pick(of, imagesPerClass, dataset.classNames[k] as string, random),
  )
  const { channels, height, width } = dataset
  return {
    images: { shape: [chosen.length, channels, height, width], data: toUnit(await readImages(dataset, chosen)) },
    labels: groupedLabels(dataset.classNames.length, imagesPerClass),
  }
}

async function train(
  options: EvaluateOptions,
  student: Student,
  { images, labels }: TrainingSet,
  random: HostRandom,
): Promise<StateDict> {
  const { device, normalization, signal } = options
  const steps = atLeastOne('evaluate', 'steps', options.steps ?? 300)
  const batch = atLeastOne('evaluate', 'batch', options.batch ?? 256)
  const learningRate = positive('evaluate', 'learningRate', options.learningRate ?? 0.01)
  const strategy = options.augmentation ?? ALL_AUGMENTATIONS
  const [count, , height, width] = images.shape as [number, number, number, number]
  const state = initialize(device, student, { seed: random.integer(2 ** 31) })
  const optimizer = new Sgd(state, { lr: learningRate, momentum: MOMENTUM, weightDecay: WEIGHT_DECAY })
  const allImages = scope(() => normalize(tensor(device, images.data, { shape: images.shape }), normalization))
  const allLabels = tensor(device, labels)
  try {
    let order = random.shuffle(count)
    let at = 0
    for (let step = 0; step < steps; step++) {
      optimizer.lr = learningRate * cosineSchedule(step, steps)
      if (at + Math.min(batch, count) > count) {
        order = random.shuffle(count)
        at = 0
      }
      const chosen = order.slice(at, at + batch)
      at += chosen.length
      scope(() => {
        const whole = chosen.length === count
        const x = whole ? allImages : ops.gather(allImages, tensor(device, chosen))
        const y = whole
          ? allLabels
          : labelTensor(
              x,
              chosen.map((i) => labels[i] as number),
            )
        const draw = drawAugmentation(random, { strategy, size: [height, width], count: chosen.length })
        trainStep({ student, state, optimizer }, x, y, draw)
      })
      if (step % STEPS_A_WAIT === STEPS_A_WAIT - 1) {
        await device.synchronize()
        throwIfAborted(signal)
      }
    }
    return state
  } catch (error) {
    disposeState(state)
    throw error
  } finally {
    optimizer.dispose()
    allImages.dispose()
    allLabels.dispose()
  }
}

async function uploadTest(device: Device, test: AnyDataset, normalization: Normalization): Promise<Tensor[]> {
  const batches: Tensor[] = []
  try {
    for (let i = 0; i < test.count; i += TEST_BATCH) {
      const indices = Array.from({ length: Math.min(TEST_BATCH, test.count - i) }, (_, j) => i + j)
      const images = toUnit(await readImages(test, indices))
      const shape = [indices.length, test.channels, test.height, test.width]
      batches.push(scope(() => normalize(tensor(device, images, { shape }), normalization)))
    }
  } catch (error) {
    for (const batch of batches) batch.dispose()
    throw error
  }
  return batches
}

async function testAccuracy(
  student: Student,
  state: StateDict,
  batches: readonly Tensor[],
  test: AnyDataset,
): Promise<number> {
  const params = new Params(state)
  const predicted = scope(() =>
    noGrad(() =>
      ops.concat(
        batches.map((x) => ops.reshape(student.apply(params, x), [-1, student.classes])),
        0,
      ),
    ),
  )
  const logits = await predicted.read()
  predicted.dispose()
  const { classes } = student
  let correct = 0
  for (let i = 0; i < test.count; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes)
    if (row.some(Number.isNaN)) {
      throw new Ld3mError('numeric', `${student.name} diverged: its logits are NaN.`, 'Lower learningRate.')
    }
    if (row.indexOf(Math.max(...row)) === test.labels[i]) correct++
  }
  return correct / test.count
}
