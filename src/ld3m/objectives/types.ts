import type { HostRandom, Tensor } from '../../autograd/index.ts'
import type { AugmentationStrategy } from '../../data/index.ts'
import type { Device } from '../../gpu/index.ts'
import type { Student } from '../../models/index.ts'

/** What an objective sees at one iteration. */
export interface MatchingContext {
  readonly device: Device
  /** Synthetic images as networks see them (normalised), [classes · imagesPerClass, C, H, W], grouped by class. */
  readonly images: Tensor
  readonly imagesPerClass: number
  readonly classes: number
  /** A fresh batch of real images of one class, normalised: [n, C, H, W]. */
  realBatch(classIndex: number): Tensor
  /** The network whose behaviour is matched; each iteration draws fresh parameters for it. */
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
}

/** How alike training on synthetic and on real images is. */
export interface Objective {
  readonly name: string
  /** Learning rate of latents and conditionings that suits this objective, where none is given. */
  readonly learningRate: number
  /** For the record of a run. */
  readonly options: Readonly<Record<string, unknown>>
  /** Batches of real images of each class that `match` asks for, at most; they are read ahead. Default 1. */
  readonly realBatches?: number
  match(context: MatchingContext): Matched
}
