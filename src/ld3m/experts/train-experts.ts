import { HostRandom, ops, scope, type Tensor, tensor } from '../../autograd/index.ts'
import {
  ALL_AUGMENTATIONS,
  type AnyDataset,
  type AugmentationStrategy,
  checkStrategy,
  drawAugmentation,
  readImages,
  toUnit,
} from '../../data/index.ts'
import { Ld3mError, optionError, rejectUnknownOptions } from '../../errors.ts'
import type { Device } from '../../gpu/index.ts'
import { differences } from '../../io/index.ts'
import {
  disposeState,
  initialize,
  loadStateDict,
  readStateDict,
  type StateDict,
  type Student,
} from '../../models/index.ts'
import { Sgd } from '../../optim/index.ts'
import { checkStudent } from '../check-student.ts'
import { chunksOf } from '../chunks.ts'
import { imagesIdentity } from '../images-identity.ts'
import { normalize, readNormalization } from '../normalization.ts'
import { atLeastOne, atLeastZero, positive, seedOf, share } from '../options.ts'
import { studentIdentity } from '../student-identity.ts'
import { defaultStudent, labelTensor, trainStep } from '../train-step.ts'
import { type Experts, openExperts } from './experts.ts'
import { type ExpertManifest, type ExpertRecipe, newManifest, readManifest, writeManifest } from './manifest.ts'
import { readSnapshot, type Snapshot, snapshotName, writeSnapshot } from './snapshot.ts'
import type { ExpertStore } from './store.ts'

export interface TrainExpertsOptions {
  device: Device
  /** Real training images, of the size that they are distilled in; a streamed dataset is read anew in each epoch. */
  dataset: AnyDataset
  /** Where snapshots and the manifest go; what is there already is gone on from. */
  store: ExpertStore
  /** Experts in all, those that are there included. Default 10; the paper's code uses 100 and more. */
  count?: number
  /** Epochs of an expert. Default 15. */
  epochs?: number
  /** Default that of `distill`. */
  student?: Student
  /** Images a step, at most. Default 256. */
  batch?: number
  /** Of SGD, constant. Default 0.01. */
  learningRate?: number
  /** 0…1. Above 0, an expert that was interrupted starts again from its first epoch. Default 0. */
  momentum?: number
  /** Default 0. */
  weightDecay?: number
  /** Operations of augmentation, drawn for each image. Default all six. */
  augmentation?: AugmentationStrategy
  /** Same seed, data and adapter: same experts, also when resumed. Default 0. */
  seed?: number
  /** Stops between two steps; finished epochs are kept. */
  signal?: AbortSignal
  /** Called after every epoch; the training waits for a promise it returns. */
  onProgress?: (progress: ExpertProgress) => void | Promise<void>
}

export interface ExpertProgress {
  /** Counts from 0. */
  readonly expert: number
  readonly experts: number
  /** Epochs of this expert done, and of each in all. */
  readonly epoch: number
  readonly epochs: number
  /** Mean training loss of the epoch. */
  readonly loss: number
  readonly seconds: number
  readonly secondsLeft: number
}

const KNOWN = [
  ...['device', 'dataset', 'store', 'count', 'epochs', 'student', 'batch', 'learningRate', 'momentum', 'weightDecay'],
  ...['augmentation', 'seed', 'signal', 'onProgress'],
]

/** Steps between waits for the GPU, so that an abort is noticed and the queue stays short. */
const STEPS_A_WAIT = 25

/**
 * Trains the experts of trajectory matching: students on the real images, each from its own initial parameters, by plain
 * SGD on the cross entropy. The parameters before the first epoch and after each are saved, a file each, as soon as
 * they are known; a run that was killed goes on after the last of them, with the same bits as one that was not.
 * @throws Ld3mError `option` for options out of range, or that differ from those of the experts in the store; `numeric`
 * if a training diverges; `aborted`; `data` for files in the store that are broken
 */
export async function trainExperts(options: TrainExpertsOptions): Promise<Experts> {
  rejectUnknownOptions('trainExperts', options, KNOWN)
  const count = atLeastOne('trainExperts', 'count', options.count ?? 10)
  const student = options.student ?? defaultStudent(options.dataset)
  checkStudent('trainExperts', student, options.dataset)
  const recipe = await recipeOf(options, student)
  let manifest = await manifestFor(options.store, recipe)
  const clock = new Clock(recipe.training.epochs, count)
  for (let expert = manifest.experts.length; expert < count; expert++) {
    const entry = await trainExpert(options, student, recipe, expert, clock)
    manifest = { ...manifest, experts: [...manifest.experts, entry] }
    await writeManifest(options.store, manifest)
  }
  return openExperts(options.store)
}

async function recipeOf(options: TrainExpertsOptions, student: Student): Promise<ExpertRecipe> {
  const { dataset } = options
  const { momentum = 0, weightDecay = 0, augmentation = ALL_AUGMENTATIONS } = options
  share('trainExperts', 'momentum', momentum, '< 1')
  atLeastZero('trainExperts', 'weightDecay', weightDecay)
  checkStrategy('trainExperts', augmentation)
  const { mean, std } = await readNormalization(dataset)
  return {
    dataset: {
      ...{ name: dataset.name, count: dataset.count, classNames: [...dataset.classNames] },
      images: await imagesIdentity(dataset),
    },
    normalization: { mean: [...mean], std: [...std] },
    student: studentIdentity(student),
    training: {
      epochs: atLeastOne('trainExperts', 'epochs', options.epochs ?? 15),
      batch: atLeastOne('trainExperts', 'batch', options.batch ?? 256),
      learningRate: positive('trainExperts', 'learningRate', options.learningRate ?? 0.01),
      ...{ momentum, weightDecay },
      augmentation: [...augmentation],
      seed: seedOf('trainExperts', options.seed ?? 0),
    },
  }
}

/** The store's manifest, which must be of this recipe, or a new one. */
async function manifestFor(store: ExpertStore, recipe: ExpertRecipe): Promise<ExpertManifest> {
  const found = await readManifest(store)
  if (!found) {
    const manifest = newManifest(recipe)
    await writeManifest(store, manifest)
    return manifest
  }
  const { format: _format, experts: _experts, ...before } = found
  const differing = differences(before, recipe)
  if (differing.length > 0) {
    throw optionError(
      `trainExperts: the experts in the store were made otherwise: ${differing.slice(0, 5).join(', ')}.`,
      'Use the same options and data, or another store.',
    )
  }
  return found
}

async function trainExpert(
  options: TrainExpertsOptions,
  student: Student,
  recipe: ExpertRecipe,
  expert: number,
  clock: Clock,
): Promise<ExpertManifest['experts'][number]> {
  const { device, store } = options
  const { epochs, learningRate, momentum, weightDecay } = recipe.training
  const random = new HostRandom({ seed: recipe.training.seed, stream: 0 }).fork('experts').fork(expert)
  const files = Array.from({ length: epochs + 1 }, (_, epoch) => snapshotName(expert, epoch))
  const saved = await savedSnapshots(store, recipe, files)
  const last = saved.at(-1)
  const state = last
    ? loadStateDict(device, student, last.parameters)
    : initialize(device, student, { seed: random.integer(2 ** 31) })
  const optimizer = new Sgd(state, { lr: learningRate, momentum, weightDecay })
  const loss = saved.flatMap((snapshot) => snapshot.loss ?? [])
  try {
    if (!last) await writeSnapshot(store, recipe, files[0] as string, { parameters: await readStateDict(state) })
    for (let epoch = loss.length; epoch < epochs; epoch++) {
      const mean = await trainEpoch(options, { student, state, optimizer }, recipe, random.fork(epoch))
      if (!Number.isFinite(mean)) {
        const what = `trainExperts: the loss of expert ${expert} became ${mean} in epoch ${epoch + 1}.`
        throw new Ld3mError('numeric', what, 'Lower learningRate.')
      }
      loss.push(mean)
      const snapshot = { parameters: await readStateDict(state), loss: mean }
      await writeSnapshot(store, recipe, files[epoch + 1] as string, snapshot)
      await options.onProgress?.(clock.progress(expert, epoch + 1, mean))
    }
  } finally {
    optimizer.dispose()
    disposeState(state)
  }
  return { files, loss }
}

/** An interrupted expert's snapshots, from epoch 0 on, that training can go on from. */
async function savedSnapshots(
  store: ExpertStore,
  recipe: ExpertRecipe,
  files: readonly string[],
): Promise<readonly Snapshot[]> {
  // The velocity is not saved.
  if (recipe.training.momentum > 0) return []
  const saved: Snapshot[] = []
  for (const file of files) {
    const snapshot = await readSnapshot(store, recipe, file)
    if (!snapshot) break
    saved.push(snapshot)
  }
  return saved
}

/** One pass over the shuffled dataset; the mean loss over its images. */
async function trainEpoch(
  { device, dataset, signal }: TrainExpertsOptions,
  training: { student: Student; state: StateDict; optimizer: Sgd },
  { normalization, training: { batch, augmentation } }: ExpertRecipe,
  random: HostRandom,
): Promise<number> {
  const order = random.shuffle(dataset.count)
  const size = [dataset.height, dataset.width] as const
  const strategy = augmentation as AugmentationStrategy
  const losses: { readonly loss: Tensor; readonly images: number }[] = []
  const dropout = random.fork('dropout')
  try {
    for (const [step, [first, end]] of chunksOf(dataset.count, batch).entries()) {
      const chosen = order.subarray(first, end)
      const unit = toUnit(await readImages(dataset, chosen))
      const loss = scope(() => {
        const shape = [chosen.length, dataset.channels, ...size]
        const images = normalize(tensor(device, unit, { shape }), normalization)
        const labels = labelTensor(
          images,
          chosen.map((i) => dataset.labels[i] as number),
        )
        const draw = drawAugmentation(random, { strategy, size, count: chosen.length })
        return trainStep(training, images, labels, draw, dropout)
      })
      losses.push({ loss, images: chosen.length })
      if (step % STEPS_A_WAIT === STEPS_A_WAIT - 1) await device.synchronize()
      if (signal?.aborted) {
        throw new Ld3mError('aborted', 'The training of experts was aborted.', 'Run it again: it goes on from here.')
      }
    }
    const all = scope(() =>
      ops.concat(
        losses.map(({ loss }) => ops.reshape(loss, [1])),
        0,
      ),
    )
    const values = await all.read()
    all.dispose()
    return losses.reduce((sum, { images }, i) => sum + (values[i] as number) * images, 0) / dataset.count
  } finally {
    for (const { loss } of losses) loss.dispose()
  }
}

/** Counts epochs against time. */
class Clock {
  readonly #started = performance.now()
  #done = 0

  constructor(
    readonly epochs: number,
    readonly experts: number,
  ) {}

  progress(expert: number, epoch: number, loss: number): ExpertProgress {
    const { epochs, experts } = this
    this.#done++
    const seconds = (performance.now() - this.#started) / 1000
    const left = (experts - expert) * epochs - epoch
    return { expert, experts, epoch, epochs, loss, seconds, secondsLeft: (seconds / this.#done) * left }
  }
}
