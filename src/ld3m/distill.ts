import { grad, HostRandom, ops, planMemory, scope, type Tensor } from '../autograd/index.ts'
import { ALL_AUGMENTATIONS, type AnyDataset, type AugmentationStrategy } from '../data/index.ts'
import { Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { MemoryPlan } from '../gpu/index.ts'
import type { Student } from '../models/index.ts'
import { type NamedTensors, Sgd } from '../optim/index.ts'
import { type RunState, readRunState, writeRunState } from './distill-state.ts'
import { knownNormalization, type Normalization, readNormalization } from './normalization.ts'
import type { Matcher, Objective } from './objectives/index.ts'
import { atLeastOne, oneOf, positive, seedOf } from './options.ts'
import type { Prior } from './prior.ts'
import { type DiffusionOptions, drawNoise, type ResolvedDiffusion, resolveDiffusion } from './process.ts'
import { RealImages } from './real-images.ts'
import { defaultStudent } from './student-training.ts'
import {
  chunksOf,
  type DistilledSet,
  drawImages,
  drawnImages,
  groupedLabels,
  initialParameters,
  readImages,
  type SyntheticParameters,
  sliceAll,
  syntheticImages,
} from './synthetic.ts'

export interface DistillOptions {
  /** Real training images, of the size that the prior takes; a streamed dataset is read as it is needed. */
  dataset: AnyDataset
  /** The frozen latent diffusion model; its device does the work. */
  prior: Prior
  /** What is matched: `dm()`, `dc()` or `mtt(…)`. */
  objective: Objective
  /** Synthetic images a class, ≥ 1. Default 1. */
  imagesPerClass?: number
  /** Iterations, ≥ 1. Default 100. */
  steps?: number
  /** Same seed, same adapter: same result. Default 0. */
  seed?: number
  /** The reverse process. */
  diffusion?: DiffusionOptions
  /** What is learned. Default 'both'; of an unconditional prior 'latents', which is all there is. */
  learn?: 'latents' | 'conditioning' | 'both'
  /** Of latents and conditionings, for SGD with momentum 0.5. Default: the objective's. */
  learningRate?: number
  /** Momentum of that SGD, 0…1. Default 0.5. */
  momentum?: number
  /** Real images a class and iteration. Default 64. */
  realBatch?: number
  /** Where latents start: encoded from random real images, or normal. Default 'real'. */
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
  /** The prior's class id of each class of the dataset. Default the same numbers, for a prior of as many classes or none. */
  priorClasses?: readonly number[]
  /** A state that `progress.save()` gave in a run with these options: goes on from there, with the same bits. */
  resume?: Uint8Array
  /** Stops the run with an error that carries the result so far. */
  signal?: AbortSignal
  /** Called after every iteration; the run waits for a promise it returns. */
  onProgress?: (progress: DistillProgress) => void | Promise<void>
}

export interface DistillProgress {
  /** Iterations done, 1…`iterations`. */
  readonly iteration: number
  readonly iterations: number
  /** The objective's loss at this iteration. */
  readonly loss: number
  /** Euclidean norms of the gradients with respect to all latents and all conditionings. */
  readonly gradientNorm: { readonly latents: number; readonly conditioning: number }
  /** Seconds since the start, or since the run was resumed. */
  readonly seconds: number
  /** Estimated from the mean time of an iteration. */
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

/** Why a distillation ended early, with the last good state. */
export class DistillationStopped extends Ld3mError {
  constructor(
    code: 'aborted' | 'numeric' | 'data',
    what: string,
    fix: string,
    /** The state after the last iteration that went well. */
    readonly result: DistilledSet,
  ) {
    super(code, what, fix)
  }
}

const KNOWN = [
  ...['dataset', 'prior', 'objective', 'imagesPerClass', 'steps', 'seed', 'diffusion', 'learn', 'learningRate'],
  ...['momentum', 'realBatch', 'init', 'student', 'augmentation', 'chunk', 'priorClasses', 'resume', 'signal'],
  'onProgress',
]

/**
 * Distils a dataset with LD3M: learns latents and conditionings of a frozen latent diffusion model so that training on
 * the images that it makes of them is like training on the real ones (Eq. 6 of the paper). Each iteration draws the
 * synthetic images, takes the objective's gradient with respect to them, and carries it back through the decoder and
 * the diffusion process, chunk by chunk.
 * @throws DistillationStopped if `signal` fires, a loss is not finite, or an image of a streamed dataset cannot be read;
 * it carries the result so far
 * @throws Ld3mError `option`, `shape` or `data` for input that does not fit
 */
export async function distill(options: DistillOptions): Promise<DistilledSet> {
  const run = await Distillation.start(options)
  try {
    while (run.iteration < run.iterations) await run.iterate()
    return await run.snapshot()
  } finally {
    run.dispose()
  }
}

const LEARNED = ['latents', 'conditioning', 'both'] as const

/** Iterations that a plan runs through: augmentation draws its operations, so that their peaks differ a little. */
const PLANNED_ITERATIONS = 3

/**
 * The GPU memory that `distill` would need with these options, in a fraction of an iteration's time and without the GPU:
 * from the first image to the update of the third iteration (or the last, where there are fewer). Later iterations differ
 * only by what augmentation draws, less than 1 % of the demo's peak.
 * @throws Ld3mError as `distill` does: `option`, `shape` or `data`; `memory` if a tensor is larger than the adapter binds
 */
export function planDistill(options: DistillOptions): MemoryPlan {
  return planMemory(options.prior.device, () => Distillation.rehearse(options))
}

class Distillation {
  iteration = 0
  /** Where this part of the run began. */
  #first = 0
  readonly iterations: number
  readonly #prior: Prior
  readonly #dataset: AnyDataset
  readonly #objective: Objective
  readonly #imagesPerClass: number
  readonly #seed: number
  readonly #diffusion: ResolvedDiffusion
  readonly #student: Student
  readonly #augmentation: AugmentationStrategy
  readonly #chunk: number
  readonly #learned: readonly (keyof SyntheticParameters)[]
  readonly #signal: AbortSignal | undefined
  readonly #onProgress: DistillOptions['onProgress']
  readonly #real: RealImages
  readonly #init: 'real' | 'gaussian'
  readonly #priorClasses: readonly number[]
  readonly #sgd: { readonly lr: number; readonly momentum: number }
  // Set by `#begin`, once the images that they follow from are read.
  #normalization!: Normalization
  #matcher!: Matcher
  #parameters!: SyntheticParameters
  #optimizer!: Sgd
  readonly #loss: number[] = []
  readonly #started = performance.now()
  #initialImages: DistilledSet['initialImages'] | undefined

  static async start(options: DistillOptions): Promise<Distillation> {
    const run = new Distillation(options)
    const initial = run.#init === 'real' ? await run.#real.initial(run.#imagesPerClass) : undefined
    run.#begin(await readNormalization(options.dataset), initial)
    try {
      run.#initialImages = await run.#images()
      if (options.resume) run.#restore(options.resume)
      return run
    } catch (error) {
      run.dispose()
      throw error
    }
  }

  /** What a run records on the GPU until its first iterations are done. */
  static rehearse(options: DistillOptions): void {
    const run = new Distillation(options)
    const { channels, height, width, classNames } = options.dataset
    const initial = new Float32Array(classNames.length * run.#imagesPerClass * channels * height * width)
    run.#begin(knownNormalization(options.dataset), run.#init === 'real' ? initial : undefined)
    try {
      drawnImages(run.#prior, run.#parameters, ...run.#drawing()).dispose()
      while (run.iteration < Math.min(run.iterations, PLANNED_ITERATIONS)) {
        run.#real.rehearse(run.iteration)
        run.#matcher.rehearse?.()
        const { gradients, own, report } = scope(() => run.#gradients())
        report.dispose()
        run.#update(gradients, own)
      }
    } finally {
      run.dispose()
    }
  }

  private constructor(options: DistillOptions) {
    rejectUnknownOptions('distill', options, KNOWN)
    const { dataset, prior, objective } = options
    checkFit(dataset, prior, options.priorClasses)
    this.#dataset = dataset
    this.#prior = prior
    this.#objective = objective
    this.iterations = atLeastOne('distill', 'steps', options.steps ?? 100)
    this.#imagesPerClass = atLeastOne('distill', 'imagesPerClass', options.imagesPerClass ?? 1)
    this.#chunk = atLeastOne('distill', 'chunk', options.chunk ?? 10)
    this.#seed = seedOf('distill', options.seed ?? 0)
    this.#diffusion = resolveDiffusion(options.diffusion)
    this.#augmentation = options.augmentation ?? ALL_AUGMENTATIONS
    this.#student = options.student ?? defaultStudent(dataset)
    const learn = oneOf('distill', 'learn', options.learn ?? (prior.conditional ? 'both' : 'latents'), LEARNED)
    if (learn !== 'latents' && !prior.conditional) {
      throw optionError(`distill: learn is '${learn}', but the prior is unconditional.`, "Use 'latents'.")
    }
    this.#learned = learn === 'both' ? ['latents', 'conditioning'] : [learn]
    this.#signal = options.signal
    this.#onProgress = options.onProgress
    this.#real = new RealImages(dataset, {
      batch: atLeastOne('distill', 'realBatch', options.realBatch ?? 64),
      batches: objective.realBatches ?? 1,
      seed: this.#seed,
      iterations: this.iterations,
    })
    this.#init = oneOf('distill', 'init', options.init ?? 'real', ['real', 'gaussian'])
    const lr = positive('distill', 'learningRate', options.learningRate ?? objective.learningRate)
    const momentum = options.momentum ?? 0.5
    if (!(momentum >= 0 && momentum < 1))
      throw optionError(`distill: momentum is ${momentum}.`, 'Use 0 ≤ momentum < 1.')
    this.#sgd = { lr, momentum }
    this.#priorClasses = options.priorClasses ?? dataset.classNames.map((_, k) => (prior.conditional ? k : 0))
  }

  /** Makes what is learned, from the initial images [M, C, H, W] in [0, 1] or, without them, from normal latents. */
  #begin(normalization: Normalization | undefined, initial: Float32Array | undefined): void {
    // A plan without statistics needs numbers, no matter which.
    const ones = new Array<number>(this.#dataset.channels).fill(1)
    this.#normalization = normalization ?? { mean: ones, std: ones }
    this.#matcher = this.#objective.start({
      ...{ device: this.#prior.device, student: this.#student, classes: this.#dataset.classNames.length },
      ...{ imagesPerClass: this.#imagesPerClass, normalization },
      random: new HostRandom({ seed: this.#seed, stream: 0 }).fork('objective'),
    })
    this.#parameters = initialParameters(this.#prior, initial, this.#imagesPerClass, this.#priorClasses, this.#seed)
    const learned = Object.fromEntries(this.#learned.map((name) => [name, this.#parameters[name]]))
    this.#optimizer = new Sgd(learned, this.#sgd)
  }

  async iterate(): Promise<void> {
    if (this.#signal?.aborted) await this.#stop('aborted', 'The distillation was aborted', 'The result so far is kept.')
    try {
      await this.#real.prepare(this.iteration)
      await this.#matcher.prepare?.(this.iteration)
    } catch (error) {
      if (!(error instanceof Ld3mError)) throw error
      await this.#stop('data', error.message, 'The result so far is kept.')
    }
    const step = scope(() => this.#gradients())
    const [loss, latents, conditioning, ...own] = (await step.report.read()) as unknown as [number, number, number]
    step.report.dispose()
    for (const [what, value] of Object.entries({
      loss,
      'gradient of the latents': latents,
      'gradient of the conditionings': conditioning,
      'gradient of what the objective learns itself': own.reduce((a, b) => a + b, 0),
    })) {
      if (!Number.isFinite(value)) {
        for (const g of [...Object.values(step.gradients), ...Object.values(step.own)]) g.dispose()
        await this.#stop('numeric', `The ${what} became ${value}`, 'Lower learningRate; the last good state is kept.')
      }
    }
    this.#update(step.gradients, step.own)
    this.#loss.push(loss)
    await this.#onProgress?.(this.#progress(loss, Math.sqrt(latents), Math.sqrt(conditioning)))
  }

  #update(gradients: NamedTensors, own: NamedTensors): void {
    this.#optimizer.step(gradients)
    this.#matcher.update?.(own)
    for (const g of [...Object.values(gradients), ...Object.values(own)]) g.dispose()
    this.iteration++
  }

  /** One iteration's gradients, those of the matcher's own, and [loss, ‖∂L/∂Z‖², ‖∂L/∂c‖², …, each squared norm of own]. */
  #gradients(): { gradients: NamedTensors; own: NamedTensors; report: Tensor } {
    const prior = this.#prior
    const parameters = this.#parameters
    const random = new HostRandom({ seed: this.#seed, stream: 0 }).fork(`iteration ${this.iteration}`)
    const count = parameters.latents.shape[0] as number
    const noise = drawNoise(prior, count, this.#diffusion, random.integer(2 ** 32))
    const args = [this.#diffusion, this.#normalization] as const
    const ranges = chunksOf(count, this.#chunk)

    // With one chunk its graph is kept; with more, each is generated again when its gradient is taken.
    const whole = ranges.length === 1 ? scope(() => syntheticImages(prior, parameters, noise, ...args)) : undefined
    const images = whole?.detach() ?? drawImages(prior, parameters, noise, ...args, this.#chunk)
    const { loss, gradient, own = {} } = scope(() => this.#match(images, random))

    const names = this.#learned
    const parts = ranges.map((range) =>
      scope(() => {
        if (whole)
          return grad(
            whole,
            names.map((n) => parameters[n]),
            { gradOutput: gradient },
          )
        const [part, partNoise] = sliceAll(parameters, noise, range)
        const leaves = { latents: part.latents.detach().leaf(), conditioning: part.conditioning.detach().leaf() }
        const chunkImages = scope(() => syntheticImages(prior, leaves, partNoise, ...args))
        return grad(
          chunkImages,
          names.map((n) => leaves[n]),
          { gradOutput: ops.slice(gradient, 0, ...range) },
        )
      }),
    )
    const gradients: Record<string, Tensor> = {}
    names.forEach((name, i) => {
      const ofName = parts.map((p) => p[i] as Tensor)
      gradients[name] = ofName.length === 1 ? (ofName[0] as Tensor) : ops.concat(ofName, 0)
    })
    const squared = [gradients.latents, gradients.conditioning, ...Object.values(own)].map((g) =>
      g ? ops.reshape(ops.sum(ops.square(g)), [1]) : ops.fill(prior.device, [1], 0),
    )
    return { gradients, own, report: ops.concat([ops.reshape(loss, [1]), ...squared], 0) }
  }

  #match(images: Tensor, random: HostRandom) {
    const { device } = this.#prior
    const { classNames } = this.#dataset
    return this.#matcher.match({
      iteration: this.iteration,
      device,
      images,
      imagesPerClass: this.#imagesPerClass,
      classes: classNames.length,
      realBatch: (k) => this.#real.batch(device, k, this.#normalization),
      student: this.#student,
      augmentation: this.#augmentation,
      random,
    })
  }

  #progress(loss: number, latents: number, conditioning: number): DistillProgress {
    const { iteration, iterations } = this
    const seconds = (performance.now() - this.#started) / 1000
    const done = iteration - this.#first
    const { current, peak } = this.#prior.device.memory
    return {
      iteration,
      iterations,
      loss,
      gradientNorm: { latents, conditioning },
      seconds,
      secondsLeft: (seconds / done) * (iterations - iteration),
      imagesPerSecond: (done * (this.#parameters.latents.shape[0] as number)) / seconds,
      memory: { current, peak },
      snapshot: () => this.snapshot(),
      save: () => this.#save(),
    }
  }

  async snapshot(): Promise<DistilledSet> {
    const { latents, conditioning } = this.#parameters
    const classes = this.#dataset.classNames.length
    const images = await this.#images()
    return {
      images,
      initialImages: this.#initialImages as DistilledSet['initialImages'],
      labels: groupedLabels(classes, this.#imagesPerClass),
      classNames: this.#dataset.classNames,
      latents: { shape: latents.shape, data: await latents.read() },
      conditioning: { shape: conditioning.shape, data: await conditioning.read() },
      normalization: this.#normalization,
      loss: [...this.#loss],
      ...(await this.#matcher.learned?.()),
    }
  }

  async #save(): Promise<Uint8Array> {
    return await writeRunState({ ...this.#state(), objective: await this.#matcher.state() })
  }

  #restore(bytes: Uint8Array): void {
    const { objective, loss } = readRunState(bytes, this.#state())
    this.#matcher.restore(objective)
    this.#loss.push(...loss)
    this.iteration = this.#first = loss.length
  }

  /** All that later iterations depend on but what the matcher keeps. */
  #state(): Omit<RunState, 'objective'> {
    const { name, options } = this.#objective
    return {
      recipe: { objective: { name, ...options }, seed: this.#seed, learned: this.#learned },
      parameters: { ...this.#parameters },
      velocity: this.#optimizer.stateDict(),
      loss: this.#loss,
    }
  }

  /** The images that are shown and evaluated: always with the same noise, so that pictures differ by learning alone. */
  #images(): Promise<DistilledSet['images']> {
    return readImages(this.#prior, this.#parameters, ...this.#drawing())
  }

  #drawing() {
    return [this.#diffusion, this.#normalization, this.#chunk, this.#seed] as const
  }

  async #stop(code: 'aborted' | 'numeric' | 'data', what: string, fix: string): Promise<never> {
    const when = `${what} after ${this.iteration} of ${this.iterations} iterations.`
    throw new DistillationStopped(code, when, fix, await this.snapshot())
  }

  dispose(): void {
    this.#matcher.dispose()
    this.#optimizer.dispose()
    this.#parameters.latents.dispose()
    this.#parameters.conditioning.dispose()
  }
}

function checkFit(dataset: AnyDataset, prior: Prior, priorClasses: readonly number[] | undefined): void {
  const { image, classes } = prior.config
  if (dataset.channels !== image.channels || dataset.height !== image.height || dataset.width !== image.width) {
    throw shapeError(
      `distill: the dataset has images of ${dataset.channels}×${dataset.height}×${dataset.width}; ` +
        `the prior was trained on ${image.channels}×${image.height}×${image.width}.`,
      'Pad or resize the dataset (padTo), or use another prior.',
    )
  }
  const count = dataset.classNames.length
  if (!priorClasses) {
    if (prior.conditional && count !== classes) {
      throw optionError(
        `distill: the dataset has ${count} classes, the prior ${classes}.`,
        "Pass priorClasses: the prior's class id for each class of the dataset.",
      )
    }
  } else if (
    priorClasses.length !== count ||
    priorClasses.some((c) => !(Number.isInteger(c) && c >= 0 && c < classes))
  ) {
    throw optionError(
      `distill: priorClasses is [${priorClasses}].`,
      prior.conditional
        ? `Give ${count} integers from 0 to ${classes - 1}, one for each class of the dataset.`
        : 'The prior is unconditional: leave it out.',
    )
  }
}
