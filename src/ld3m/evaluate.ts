import { HostRandom, noGrad, ops, scope, type Tensor } from '../autograd/index.ts'
import { type AnyDataset, indicesByClass, readImages, toUnit } from '../data/index.ts'
import { dataError, formatValue, Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { disposeState, Params, type StateDict, type Student } from '../models/index.ts'
import { type Accuracy, summarize } from './accuracy.ts'
import { differingLabel } from './check-classes.ts'
import { checkStudent } from './check-student.ts'
import { chunksOf } from './chunks.ts'
import { imageShapeOf, isSet, LabelledImages, type TrainingSet } from './labelled-images.ts'
import { checkNormalization, type Normalization, readNormalization } from './normalization.ts'
import { atLeastOne, seedOf } from './options.ts'
import { pick } from './real-images.ts'
import { groupedLabels } from './synthetic.ts'
import { PROTOCOL_OPTIONS, resolveProtocol, type TrainingProtocol, trainStudent } from './train-student.ts'

/** What to train on: a set, such as a distilled one, or a whole dataset. */
export type TrainingData = TrainingSet | AnyDataset

export interface EvaluateOptions extends TrainingProtocol {
  device: Device
  /** What to train on; a function is asked for each run's own. */
  train: TrainingData | ((run: number) => TrainingData | Promise<TrainingData>)
  /** Real images to test on; all of them are on the GPU at once. */
  test: AnyDataset
  /** How networks see images. Default what `train` says, as distilled sets do, or the statistics of a dataset there. */
  normalization?: Normalization
  /** Architectures to train, whose names are all different. What one learns does not depend on the others. */
  students: readonly Student[]
  /** Trainings of each architecture, each from its own initial parameters. Default 3. */
  runs?: number
  /** Default 0. */
  seed?: number
  /** Test accuracies of an evaluation that was stopped, by the students' names: of their first trainings, in order. */
  resume?: Readonly<Record<string, readonly number[]>>
  signal?: AbortSignal
  /** Called after every training, and waited for. */
  onProgress?: (progress: EvaluateProgress) => void | Promise<void>
}

export interface EvaluateProgress {
  readonly student: string
  readonly run: number
  readonly accuracy: number
  /** Trainings done, those of `resume` among them, and in all. */
  readonly done: number
  readonly total: number
}

const KNOWN = [
  ...['device', 'train', 'test', 'normalization', 'students', 'runs', 'seed', 'resume'],
  ...['signal', 'onProgress'],
  ...PROTOCOL_OPTIONS,
]

/** Images that are tested at once, at most, and their pixels: 250 of 32×32. */
const TEST_BATCH = 250
const TEST_PIXELS = TEST_BATCH * 32 * 32

/**
 * Trains each architecture on the given images alone and tests it on real ones: what a distilled set is judged by.
 * `paperProtocol()` are the options of the paper's tables.
 * @returns accuracies by the students' names
 * @throws Ld3mError `option`, `shape` or `data` for input that does not fit, `numeric` if a training diverges, `aborted`
 */
export async function evaluate(options: EvaluateOptions): Promise<Record<string, Accuracy>> {
  const first = await trainingData(options, 0)
  checkEvaluation(options, first)
  const { device, test, students, signal, resume = {} } = options
  const normalization = await normalizationFor(options, first)
  const { runs, seed } = repetitionOf(options)
  const testBatches = await uploadTest(device, test, normalization)
  const results: Record<string, Accuracy> = {}
  try {
    let done = 0
    for (const student of students) {
      const accuracies = (resume[student.name] ?? []).slice(0, runs)
      done += accuracies.length
      for (let run = accuracies.length; run < runs; run++) {
        const random = new HostRandom({ seed, stream: run }).fork(`evaluate ${student.name}`)
        const state = await train(options, student, await trainingData(options, run), normalization, random)
        const accuracy = await testAccuracy(student, state, testBatches, test).finally(() => disposeState(state))
        accuracies.push(accuracy)
        await options.onProgress?.({
          student: student.name,
          run,
          accuracy,
          done: ++done,
          total: students.length * runs,
        })
        if (signal?.aborted) throw new Ld3mError('aborted', 'The evaluation was aborted.', 'Run it again.')
      }
      results[student.name] = summarize(accuracies)
    }
    return results
  } finally {
    for (const batch of testBatches) batch.dispose()
  }
}

/** What is checked before anything is trained; and by a run before it distils, hours earlier. */
export type Evaluation = Pick<EvaluateOptions, 'test' | 'students' | 'runs' | 'seed' | keyof TrainingProtocol>

/**
 * Throws unless the students can be trained on such images and tested on those.
 * @throws Ld3mError `option`, `shape` or `data`
 */
export function checkEvaluation(evaluation: Evaluation, data: TrainingData): void {
  rejectUnknownOptions('evaluate', evaluation, KNOWN)
  const { test, students } = evaluation
  repetitionOf(evaluation)
  if (!Array.isArray(students)) {
    throw optionError(`evaluate: students is ${formatValue(students)}.`, 'Pass an array, such as [convNet({ … })].')
  }
  if (students.length === 0) throw optionError('evaluate: students is empty.', 'Name at least one architecture.')
  const names = students.map((s) => s.name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) throw optionError(`evaluate: two students are named '${twice}'.`, 'Evaluate them in separate calls.')
  const [c, h, w] = imageShapeOf(data)
  if (c !== test.channels || h !== test.height || w !== test.width) {
    throw shapeError(
      `evaluate: trains on images of ${c}×${h}×${w}, tests on ${test.channels}×${test.height}×${test.width}.`,
      c === test.channels ? 'Open both at one size.' : 'Open both with as many channels (`channels`).',
    )
  }
  const label = data.classNames && differingLabel(data.classNames, test.classNames)
  if (label !== undefined) {
    const [trained, tested] = [data, test].map(({ classNames }) => classNames?.[label] ?? 'none')
    throw dataError(
      `evaluate: class ${label} is '${trained}' in the images to train on, and '${tested}' in those to test on.`,
      'Open both with the same classes in the same order (`classes`).',
    )
  }
  for (const student of students) {
    checkStudent('evaluate', student, test)
    resolveProtocol('evaluate', evaluation, student, data.labels.length)
  }
}

const repetitionOf = ({ runs, seed }: Pick<EvaluateOptions, 'runs' | 'seed'>): { runs: number; seed: number } => ({
  runs: atLeastOne('evaluate', 'runs', runs ?? 3),
  seed: seedOf('evaluate', seed ?? 0),
})

const trainingData = async ({ train }: EvaluateOptions, run: number): Promise<TrainingData> =>
  typeof train === 'function' ? await train(run) : train

async function normalizationFor({ normalization, test }: EvaluateOptions, data: TrainingData): Promise<Normalization> {
  const found = normalization ?? (isSet(data) ? data.normalization : await readNormalization(data))
  if (found === undefined) {
    throw optionError(
      'evaluate: normalization is missing, and the images to train on do not say it.',
      'Pass normalizationOf(dataset), of the real images that they stand for.',
    )
  }
  checkNormalization('evaluate', found, test.channels)
  return found
}

async function train(
  options: EvaluateOptions,
  student: Student,
  data: TrainingData,
  normalization: Normalization,
  random: HostRandom,
): Promise<StateDict> {
  const learned = 'studentLearningRate' in data ? data.studentLearningRate : undefined
  const protocol = resolveProtocol('evaluate', options, student, data.labels.length, learned)
  const foreign = data.labels.find((label) => !(label >= 0 && label < student.classes))
  if (foreign !== undefined) {
    const what = `evaluate: an image to train on has the label ${foreign}; ${student.name} has ${student.classes} outputs.`
    throw dataError(what, 'Train and test on the same classes.')
  }
  const images = new LabelledImages(options.device, data, normalization)
  try {
    return await trainStudent(student, images, protocol, random, options.signal)
  } finally {
    images.dispose()
  }
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
    classNames: dataset.classNames,
  }
}

async function uploadTest(device: Device, test: AnyDataset, normalization: Normalization): Promise<Tensor[]> {
  const source = new LabelledImages(device, test, normalization)
  const batches: Tensor[] = []
  const size = Math.max(1, Math.min(TEST_BATCH, Math.floor(TEST_PIXELS / (test.height * test.width))))
  try {
    for (const [first, end] of chunksOf(test.count, size)) {
      const { images, labels } = await source.batch(Array.from({ length: end - first }, (_, j) => first + j))
      labels.dispose()
      batches.push(images)
    }
  } catch (error) {
    for (const batch of batches) batch.dispose()
    throw error
  }
  return batches
}

const diverged = (student: Student, how: string): Ld3mError =>
  new Ld3mError('numeric', `${student.name} diverged: ${how}.`, 'Lower learningRate.')

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
    if (row.some(Number.isNaN)) throw diverged(student, 'its logits are NaN')
    if (row.indexOf(Math.max(...row)) === test.labels[i]) correct++
  }
  // Logits of an infinite parameter may be finite, and say nothing.
  const sums = scope(() => ops.stack(Object.values(state).map((p) => ops.sum(p))))
  const finite = (await sums.read()).every(Number.isFinite)
  sums.dispose()
  if (!finite) throw diverged(student, 'a parameter is not finite')
  return correct / test.count
}
