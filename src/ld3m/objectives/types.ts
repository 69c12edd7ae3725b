import type { HostRandom, Tensor } from '../../autograd/index.ts'
import type { AugmentationStrategy } from '../../data/index.ts'
import type { Device } from '../../gpu/index.ts'
import type { NamedArrays, Student } from '../../models/index.ts'
import type { NamedTensors } from '../../optim/index.ts'
import type { Normalization } from '../normalization.ts'
import type { ImageSpace } from '../spaces/index.ts'

/** What an objective knows of a run when it starts. */
export interface RunContext {
  readonly device: Device
  /** The network whose behaviour is matched. */
  readonly student: Student
  /** The dataset's, in the order of its labels. */
  readonly classNames: readonly string[]
  readonly imagesPerClass: number
  /** How networks see the dataset's images; unknown in a plan of memory for a streamed dataset that states no statistics. */
  readonly normalization: Normalization | undefined
  /** Draws of the run, the same for the same seed. Fork it: it belongs to the whole run. */
  readonly random: HostRandom
}

/** What an objective sees at one iteration. */
export interface MatchingContext {
  /** Counts from 0. */
  readonly iteration: number
  readonly device: Device
  /** Synthetic images as networks see them (normalised), [classes · imagesPerClass, C, H, W], grouped by class. */
  readonly images: Tensor
  readonly imagesPerClass: number
  readonly classes: number
  /** A fresh batch of real images of one class, normalised: [n, C, H, W]. */
  realBatch(classIndex: number): Tensor
  /** The network whose behaviour is matched. */
  readonly student: Student
  readonly augmentation: AugmentationStrategy
  /** Draws of this iteration; the same seed and iteration give the same draws. */
  readonly random: HostRandom
}

/** A loss and its gradient with respect to the synthetic images. */
export interface Matched {
  /** One element. */
  readonly loss: Tensor
  /** Of the images' shape. */
  readonly gradient: Tensor
  /** Gradients with respect to what the matcher learns itself, for its `update`. */
  readonly own?: NamedTensors
}

/** An objective at work in one run: what it keeps from iteration to iteration belongs to that run. */
export interface Matcher {
  /** Loads what `match` of this iteration needs; the one place where an objective may wait. */
  prepare?(iteration: number): Promise<void>
  /** Stands in for `prepare` in a plan of memory, which cannot wait: as many bytes, with no matter what in them. */
  rehearse?(): void
  /** Called in a scope: what the matcher keeps for later iterations, it must `keep`. Leaves its `state` as it was. */
  match(context: MatchingContext): Matched
  /** Goes on to the next iteration, and learns from `own`; not called where the loss is not accepted. */
  update?(own: NamedTensors): void
  /** What it learned besides the images, for the distilled set. */
  learned?(): Promise<Learned>
  /** All that later iterations depend on, between two of them: live tensors, f32. */
  state(): NamedTensors
  /**
   * Goes on from a saved state.
   * @throws Ld3mError `data` or `shape` if it is not one of this objective and student
   */
  restore(state: NamedArrays): void
  /** Frees what it kept. */
  dispose(): void
}

/** What an objective may learn besides the images. */
export interface Learned {
  /** The learning rate of SGD with which a student should train on the images. */
  readonly studentLearningRate?: number
}

/** How alike training on synthetic and on real images is. */
export interface Objective {
  readonly name: string
  /** The learning rate that suits this objective in each space, where none is given. */
  readonly learningRate: Readonly<Record<ImageSpace['name'], number>>
  /** For the record of a run. */
  readonly options: Readonly<Record<string, unknown>>
  /** Batches of real images of each class that `match` asks for, at most; they are read ahead. Default 1. */
  readonly realBatches?: number
  /**
   * What matches in one run. One objective may serve several runs.
   * @throws Ld3mError `option`, `shape` or `data` if it does not fit the run
   */
  start(context: RunContext): Matcher
}

/** A matcher that keeps nothing from one iteration to the next. */
export const statelessMatcher = (match: Matcher['match']): Matcher => ({
  match,
  state: () => ({}),
  restore: () => {},
  dispose: () => {},
})
