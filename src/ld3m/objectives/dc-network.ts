import { keep, ops, scope, tensor } from '../../autograd/index.ts'
import { drawAugmentation } from '../../data/index.ts'
import type { Device } from '../../gpu/index.ts'
import {
  disposeState,
  initialize,
  loadStateDict,
  type NamedArrays,
  readStateDict,
  type StateDict,
  type Student,
} from '../../models/index.ts'
import { Sgd } from '../../optim/index.ts'
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
  #state: StateDict | undefined

  constructor(
    readonly device: Device,
    readonly student: Student,
    readonly schedule: DcSchedule,
  ) {}

  /** Calls `match` with the iteration's parameters, in whose scope a fresh network's are made. */
  use<T>(context: MatchingContext, match: (state: StateDict) => T): T {
    const { outer } = this.schedule
    const place = context.iteration % outer
    if (place === 0) {
      this.dispose()
      this.#state = initialize(this.device, this.student, { seed: context.random.integer(2 ** 31) })
      for (const value of Object.values(this.#state)) keep(value)
    } else {
      this.#train(context)
    }
    try {
      return match(this.#state as StateDict)
    } finally {
      if (place === outer - 1) this.dispose()
    }
  }

  #train({ images, classes, imagesPerClass, augmentation, random }: MatchingContext): void {
    const { inner, batch, learningRate } = this.schedule
    const state = this.#state as StateDict
    const training = { student: this.student, state, optimizer: new Sgd(state, { lr: learningRate }) }
    const labels = groupedLabels(classes, imagesPerClass)
    const size = [images.shape[2] as number, images.shape[3] as number] as const
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
          trainStep(training, ops.gather(images.detach(), tensor(this.device, chosen)), of, draw)
        })
      }
    }
  }

  /** The parameters, while iterations to come need them. */
  state(): Promise<NamedArrays> {
    return readStateDict(this.#state ?? {})
  }

  restore(arrays: NamedArrays): void {
    this.dispose()
    if (Object.keys(arrays).length > 0) this.#state = loadStateDict(this.device, this.student, arrays)
  }

  dispose(): void {
    if (this.#state) disposeState(this.#state)
    this.#state = undefined
  }
}
