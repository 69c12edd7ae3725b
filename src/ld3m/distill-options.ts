import type { AnyDataset, AugmentationStrategy } from '../data/index.ts'
import { Ld3mError } from '../errors.ts'
import type { Student } from '../models/index.ts'
import type { Objective } from './objectives/index.ts'
import { type ParameterName, SPACE_OPTIONS, type SpaceOptions } from './spaces/index.ts'
import type { DistilledSet } from './synthetic.ts'

export interface DistillSettings {
  /** Real training images, of the size that the prior takes; a streamed dataset is read as it is needed. */
  dataset: AnyDataset
  /** What is matched: `dm()`, `dc()` or `mtt(…)`. */
  objective: Objective
  /** Synthetic images a class, ≥ 1. Default 1. */
  imagesPerClass?: number
  /** Iterations, ≥ 1. Default 100. */
  steps?: number
  /** Same seed, same adapter: same result. Default 0. */
  seed?: number
  /**
   * What is learned of latents and conditionings. Default all that the space has: 'both' for latent diffusion, 'latents'
   * with an unconditional prior or without diffusion; pixels have no choice.
   */
  learn?: 'latents' | 'conditioning' | 'both'
  /** Of what is learned, for SGD with momentum. Default: the objective's for the space. */
  learningRate?: number
  /** Momentum of that SGD, 0…1. Default 0.5. */
  momentum?: number
  /** Real images a class and iteration, where the objective asks for any. Default 64. */
  realBatch?: number
  /** Where learning starts: from random real images (latents: encoded ones), or from normal numbers. Default 'real'. */
  init?: 'real' | 'gaussian'
  /** The network that is matched. Default a ConvNet of depth 3 and width 32. */
  student?: Student
  /** Operations of differentiable siamese augmentation. Default all six. */
  augmentation?: AugmentationStrategy
  /**
   * Images that are generated at once, ≥ 1. Memory grows with it, not with the number of images; images beyond one
   * chunk are generated twice, once for the loss and once for the gradient. Default 10.
   */
  chunk?: number
  /**
   * A state that `progress.save()` or a `DistillationStopped` gave in a run with these options and data: goes on from
   * there, with the same bits as a run that was not interrupted. Only `steps` may differ.
   */
  resume?: Uint8Array
  /** Stops the run with an error that carries the result so far. */
  signal?: AbortSignal
  /** Called after every iteration; the run waits for a promise it returns. */
  onProgress?: (progress: DistillProgress) => void | Promise<void>
}

export type DistillOptions = DistillSettings & SpaceOptions

export const DISTILL_OPTIONS: readonly string[] = [
  ...SPACE_OPTIONS,
  ...['dataset', 'objective', 'imagesPerClass', 'steps', 'seed', 'learn', 'learningRate', 'momentum', 'realBatch'],
  ...['init', 'student', 'augmentation', 'chunk', 'resume', 'signal', 'onProgress'],
]

export interface DistillProgress {
  /** Iterations done, 1…`iterations`. */
  readonly iteration: number
  readonly iterations: number
  /** The objective's loss at this iteration. */
  readonly loss: number
  /** Euclidean norm of the gradient with respect to all latents, all conditionings or all pixels: what is learned. */
  readonly gradientNorm: Readonly<Partial<Record<ParameterName, number>>>
  /** Seconds since the start, or since the run was resumed. */
  readonly seconds: number
  /** Estimated from the mean time of an iteration; of those after the first, which compiles kernels, once there is one. */
  readonly secondsLeft: number
  /** Synthetic images generated a second. */
  readonly imagesPerSecond: number
  /** GPU bytes now in use, and the most so far. */
  readonly memory: { readonly current: number; readonly peak: number }
  /** The result so far, for saving. */
  snapshot(): Promise<DistilledSet>
  /** Everything needed to go on from here (`resume`), as safetensors. */
  save(): Promise<Uint8Array>
}

/** Why a distillation ended early, with the last good state. Printed, an error that nobody caught shows no arrays. */
export class DistillationStopped extends Ld3mError {
  readonly #result: DistilledSet
  readonly #state: Uint8Array

  constructor(
    code: 'aborted' | 'numeric' | 'data',
    what: string,
    fix: string,
    result: DistilledSet,
    state: Uint8Array,
  ) {
    super(code, what, fix)
    this.#result = result
    this.#state = state
  }

  /** The state after the last iteration that went well. */
  get result(): DistilledSet {
    return this.#result
  }

  /** The same for `resume`. */
  get state(): Uint8Array {
    return this.#state
  }
}
