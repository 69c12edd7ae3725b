import { keep, noGrad, ops, scope, tensor } from '../../autograd/index.ts'
import { drawAugmentation } from '../../data/index.ts'
import { dataError } from '../../errors.ts'
import type { Device } from '../../gpu/index.ts'
import {
  disposeState,
  initialize,
  loadStateDict,
  type NamedArrays,
  type StateDict,
  type Student,
} from '../../models/index.ts'
import { type NamedTensors, Sgd } from '../../optim/index.ts'
import { chunksOf } from '../chunks.ts'
import { groupedLabels } from '../synthetic.ts'
import { labelTensor, trainStep } from '../train-step.ts'
import type { DcLoops } from './dc-loops.ts'
import type { MatchingContext } from './types.ts'

/** The loops, and the SGD (without momentum) that trains the network. */
export interface DcSchedule extends DcLoops {
  readonly learningRate: number
  /** Images a step, at most. */
  readonly batch: number
}

/**
 * The network whose gradients are matched: fresh at the first of `outer` iterations, and before each of the others trained
 * for `inner` epochs on the synthetic set as it then is. It is kept only as long as another iteration needs it.
 */
export class DcNetwork {
  /** As the last accepted iteration left it; undefined where the next one begins afresh. */
  #state: StateDict | undefined
  /** As the iteration that is to be accepted used it, if another one will. */
  #next: StateDict | undefined

  constructor(
    readonly device: Device,
    readonly student: Student,
    readonly schedule: DcSchedule,
  ) {}

  /**
   * Calls `match` with the iteration's parameters, in whose scope they are made.
   * @throws Ld3mError `data` if a saved state that was restored holds no network although one was in use
   */
  use<T>(context: MatchingContext, match: (state: StateDict) => T): T {
    const { outer } = this.schedule
    const place = context.iteration % outer
    this.#release()
    const state = place === 0 ? this.#fresh(context) : this.#trained(context)
    if (place < outer - 1) {
      for (const value of Object.values(state)) keep(value)
      this.#next = state
    }
    return match(state)
  }

  /** The iteration counts: the next one goes on from its network. */
  accept(): void {
    if (this.#state) disposeState(this.#state)
    this.#state = this.#next
    this.#next = undefined
  }

  #fresh({ random }: MatchingContext): StateDict {
    return initialize(this.device, this.student, { seed: random.integer(2 ** 31) })
  }

  #trained(context: MatchingContext): StateDict {
    if (!this.#state) {
      throw dataError(
        `The saved state of DC has no network after ${context.iteration} iterations, of which one serves ${this.schedule.outer}.`,
        'It is damaged; start again without resume.',
      )
    }
    const copies = Object.entries(this.#state).map(([name, value]) => [name, noGrad(() => ops.scale(value, 1)).leaf()])
    const state: StateDict = Object.fromEntries(copies)
    this.#train(state, context)
    return state
  }

  #train(state: StateDict, { images, classes, imagesPerClass, augmentation, random }: MatchingContext): void {
    const { inner, batch, learningRate } = this.schedule
    const training = { student: this.student, state, optimizer: new Sgd(state, { lr: learningRate }) }
    const labels = groupedLabels(classes, imagesPerClass)
    const size = [images.shape[2] as number, images.shape[3] as number] as const
    const dropout = random.fork('dropout')
    for (let epoch = 0; epoch < inner; epoch++) {
      const order = random.shuffle(labels.length)
      for (const [first, end] of chunksOf(labels.length, batch)) {
        const chosen = order.slice(first, end)
        const draw = drawAugmentation(random, { strategy: augmentation, size, count: chosen.length })
        scope(() => {
          const of = labelTensor(
            images,
            chosen.map((i) => labels[i] as number),
          )
          trainStep(training, ops.gather(images.detach(), tensor(this.device, chosen)), of, draw, dropout)
        })
      }
    }
  }

  /** The parameters, while iterations to come need them. */
  get state(): NamedTensors {
    return this.#state ?? {}
  }

  restore(arrays: NamedArrays): void {
    this.dispose()
    if (Object.keys(arrays).length > 0) this.#state = loadStateDict(this.device, this.student, arrays)
  }

  dispose(): void {
    this.#release()
    if (this.#state) disposeState(this.#state)
    this.#state = undefined
  }

  #release(): void {
    if (this.#next) disposeState(this.#next)
    this.#next = undefined
  }
}
