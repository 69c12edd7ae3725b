import { type HostRandom, scope } from '../autograd/index.ts'
import { ALL_AUGMENTATIONS, type AugmentationStrategy, checkStrategy, drawAugmentation } from '../data/index.ts'
import { givenOptions, Ld3mError, optionError } from '../errors.ts'
import { disposeState, initialize, type StateDict, type Student } from '../models/index.ts'
import { Ema, Sgd, warmupCosineSchedule } from '../optim/index.ts'
import type { LabelledImages } from './labelled-images.ts'
import { atLeastOne, atLeastZero, positive, share } from './options.ts'
import { trainStep } from './train-step.ts'

/** How a student is trained: SGD with weight decay, whose learning rate falls to 0 by half a cosine. */
export interface TrainingProtocol {
  /** Steps of a training. Default 300, if there are no epochs. */
  steps?: number
  /**
   * Passes over the images, instead of steps; the learning rate and the moving average then change from pass to pass, not
   * from step to step.
   */
  epochs?: number
  /** Images a step, at most; the last step of a pass takes what is left. Default 256. */
  batch?: number
  /**
   * SGD's highest learning rate, or one for each student. Default: the one that was distilled with the images
   * (`studentLearningRate`, as the code of trajectory matching does), else 0.01, and 0.003 for AlexNet and ViT: they have no
   * norms, and diverge at 0.01 on photographs.
   */
  learningRate?: number | ((student: Student) => number)
  /** Share of the steps in which the learning rate rises from nearly 0 in a straight line, 0…1. Default 0. */
  warmup?: number
  /** Momentum, 0…1. Default 0.9. */
  momentum?: number
  /** Default 5e-4. */
  weightDecay?: number
  /**
   * Decay of a moving average of the parameters, 0…1, which is what is tested; a plain mean at first. Default none.
   */
  averaging?: number
  /** Operations of augmentation, drawn for each image. Default all six. */
  augmentation?: AugmentationStrategy
}

export const PROTOCOL_OPTIONS = [
  ...(['steps', 'epochs', 'batch', 'learningRate', 'warmup', 'momentum', 'weightDecay', 'averaging'] as const),
  'augmentation' as const,
]

/**
 * The protocol of the paper's tables, as in its authors' code: 1,000 epochs of batches of 256, a warm-up of half of them,
 * a moving average of the parameters, a learning rate of 1e-3 (VGG: 1e-4), five trainings.
 */
export const paperProtocol = (): TrainingProtocol & { runs: number } => ({
  ...{ runs: 5, epochs: 1000, batch: 256, warmup: 0.5, averaging: 0.995 },
  learningRate: ({ name }) => (name.startsWith('VGG') ? 1e-4 : 1e-3),
})

/** Steps, and about seconds, between waits for the GPU: an abort is noticed, and the queue stays short. */
const STEPS_A_WAIT = 25
const SECONDS_A_WAIT = 0.5
/** Where the warm-up begins, as a share of the learning rate. */
const WARMUP_START = 1e-7

/** What a protocol has where nothing is said. */
const DEFAULTS = { batch: 256, warmup: 0, momentum: 0.9, weightDecay: 5e-4, augmentation: ALL_AUGMENTATIONS } as const
const DEFAULT_STEPS = 300
const DEFAULT_RATE = { normed: 0.01, plain: 0.003 } as const
/** Without norms that keep activations in bounds. */
const isPlain = ({ name }: Student): boolean => /^(AlexNet|ViT)/.test(name)

type Resolved = Required<Omit<TrainingProtocol, 'learningRate' | 'epochs' | 'averaging'>> & {
  readonly learningRate: number
  readonly averaging: number | undefined
  /** Steps between changes of the learning rate and of the average. */
  readonly beat: number
}

/**
 * A protocol as plain data, with its defaults.
 * @param learned the learning rate that was distilled with the images
 */
export function describeProtocol(
  { learningRate, steps, epochs, ...rest }: TrainingProtocol,
  students: readonly Student[],
  learned: number | undefined,
): Readonly<Record<string, unknown>> {
  const rateOf = (student: Student) => rateFor(student, learningRate, learned)
  return {
    ...(epochs === undefined ? { steps: steps ?? DEFAULT_STEPS } : { epochs }),
    ...{ ...DEFAULTS, ...givenOptions(rest) },
    learningRate: Object.fromEntries(students.map((student) => [student.name, rateOf(student)])),
  }
}

const rateFor = (student: Student, rate: TrainingProtocol['learningRate'], learned: number | undefined): number =>
  typeof rate === 'function' ? rate(student) : (rate ?? learned ?? DEFAULT_RATE[isPlain(student) ? 'plain' : 'normed'])

/**
 * Checks a protocol for a training of `count` images.
 * @param learned the learning rate that was distilled with them
 * @throws Ld3mError `option`
 */
export function resolveProtocol(
  where: string,
  given: TrainingProtocol,
  student: Student,
  count: number,
  learned?: number,
): Resolved {
  const { warmup = DEFAULTS.warmup, momentum = DEFAULTS.momentum, weightDecay = DEFAULTS.weightDecay } = given
  const { averaging, augmentation = DEFAULTS.augmentation } = given
  const batch = Math.min(atLeastOne(where, 'batch', given.batch ?? DEFAULTS.batch), count)
  const stepsAnEpoch = Math.ceil(count / batch)
  if (given.steps !== undefined && given.epochs !== undefined) {
    throw optionError(`${where}: steps and epochs are both given.`, 'Give one of them.')
  }
  const steps =
    given.epochs === undefined
      ? atLeastOne(where, 'steps', given.steps ?? DEFAULT_STEPS)
      : atLeastOne(where, 'epochs', given.epochs) * stepsAnEpoch
  share(where, 'warmup', warmup)
  share(where, 'momentum', momentum, '< 1')
  atLeastZero(where, 'weightDecay', weightDecay)
  if (averaging !== undefined) share(where, 'averaging', averaging, '< 1')
  checkStrategy(where, augmentation)
  return {
    ...{ steps, batch, warmup, momentum, weightDecay, averaging, augmentation },
    beat: given.epochs === undefined ? 1 : stepsAnEpoch,
    learningRate: positive(where, 'learningRate', rateFor(student, given.learningRate, learned)),
  }
}

/**
 * Trains a student from fresh parameters.
 * @returns its parameters, or their moving average, for the caller to free
 * @throws Ld3mError `aborted`
 */
export async function trainStudent(
  student: Student,
  images: LabelledImages,
  protocol: Resolved,
  random: HostRandom,
  signal: AbortSignal | undefined,
): Promise<StateDict> {
  const { device, count } = images
  const { steps, batch, learningRate, warmup, momentum, weightDecay, averaging, beat } = protocol
  const [, height, width] = images.shape
  const state = initialize(device, student, { seed: random.integer(2 ** 31) })
  let optimizer: Sgd | undefined
  let ema: Ema | undefined
  // Draws of their own, so that a student with dropout sees the same batches as one without.
  const dropout = random.fork('dropout')
  try {
    optimizer = new Sgd(state, { lr: learningRate, momentum, weightDecay })
    if (averaging !== undefined) ema = new Ema(state, { decay: averaging, warmup: true })
    const training = { student, state, optimizer }
    let order = random.shuffle(count)
    let at = 0
    let waited = { step: -1, time: performance.now() }
    let stepsAWait = 1
    for (let step = 0; step < steps; step++) {
      const changed = step - (step % beat)
      optimizer.lr = learningRate * warmupCosineSchedule(changed, warmup * steps, steps, WARMUP_START)
      if (at === count) {
        order = random.shuffle(count)
        at = 0
      }
      const chosen = order.slice(at, at + batch)
      at += chosen.length
      const given = await images.batch(chosen)
      const draw = drawAugmentation(random, {
        ...{ strategy: protocol.augmentation, size: [height, width], count: chosen.length },
      })
      scope(() => void trainStep(training, given.images, given.labels, draw, dropout))
      for (const t of Object.values(given)) t.dispose()
      if ((step + 1) % beat === 0) ema?.update()
      if (step - waited.step >= stepsAWait) {
        await device.synchronize()
        const time = performance.now()
        const secondsAStep = (time - waited.time) / 1000 / (step - waited.step)
        stepsAWait = Math.min(STEPS_A_WAIT, Math.max(1, Math.round(SECONDS_A_WAIT / secondsAStep)))
        waited = { step, time }
        if (signal?.aborted) throw new Ld3mError('aborted', 'The evaluation was aborted.', 'Run it again.')
      }
    }
    if (!ema) return state
    disposeState(state)
    return ema.average
  } catch (error) {
    disposeState(state)
    ema?.dispose()
    throw error
  } finally {
    optimizer?.dispose()
  }
}
