import { grad, HostRandom, ops, scope, type Tensor } from '../autograd/index.ts'
import { ALL_AUGMENTATIONS, type AnyDataset, type AugmentationStrategy, checkStrategy } from '../data/index.ts'
import { formatValue, Ld3mError, optionError, rejectUnknownOptions } from '../errors.ts'
import type { HostTensor, Student } from '../models/index.ts'
import { type NamedTensors, Sgd } from '../optim/index.ts'
import { checkStudent } from './check-student.ts'
import { chunksOf } from './chunks.ts'
import { DISTILL_OPTIONS, DistillationStopped, type DistillOptions, type DistillProgress } from './distill-options.ts'
import { datasetIdentity } from './distill-recipe.ts'
import { copyTensors, disposeTensors, type RunTensors, readRunState, writeRunState } from './distill-state.ts'
import { hasExploded, whatBecame } from './explosion.ts'
import { knownNormalization, type Normalization, readNormalization } from './normalization.ts'
import type { Matcher, Objective } from './objectives/index.ts'
import { atLeastOne, oneOf, positive, seedOf, share } from './options.ts'
import { RealImages } from './real-images.ts'
import {
  type ImageSpace,
  mapParameters,
  type ParameterName,
  type SyntheticParameters,
  spaceOf,
} from './spaces/index.ts'
import { studentIdentity } from './student-identity.ts'
import { type DistilledSet, drawImages, drawnImages, groupedLabels, readImages, sliceAll } from './synthetic.ts'
import { defaultStudent } from './train-step.ts'

/** Iterations that a plan runs through: augmentation draws its operations, so that their peaks differ a little. */
const PLANNED_ITERATIONS = 3

/** A run of `distill`, from its first image on; owns what is learned. */
export class Distillation {
  iteration = 0
  /** Where this part of the run began. */
  #first = 0
  readonly iterations: number
  readonly #space: ImageSpace
  readonly #dataset: AnyDataset
  readonly #objective: Objective
  readonly #imagesPerClass: number
  readonly #seed: number
  readonly #student: Student
  readonly #augmentation: AugmentationStrategy
  /** Images that are generated at once. */
  readonly #ranges: readonly [first: number, end: number][]
  readonly #learned: readonly ParameterName[]
  readonly #signal: AbortSignal | undefined
  readonly #onProgress: DistillOptions['onProgress']
  readonly #real: RealImages
  readonly #init: 'real' | 'gaussian'
  readonly #sgd: { readonly lr: number; readonly momentum: number }
  readonly #realBatch: number
  #data: Readonly<Record<string, unknown>> = {}
  // Set by `#begin`, once the images that they follow from are read.
  #normalization!: Normalization
  #matcher!: Matcher
  #parameters!: SyntheticParameters
  #optimizer!: Sgd
  readonly #loss: number[] = []
  /** The state of the last loss that was accepted, before its update. */
  #accepted: RunTensors | undefined
  readonly #started = performance.now()
  /** When the first iteration of this part was done, with what `onProgress` did. */
  #warm: number | undefined
  #initialImages: DistilledSet['initialImages'] | undefined

  static async start(options: DistillOptions): Promise<Distillation> {
    const run = new Distillation(options)
    // First what may read all images: then those that cannot be read are told together.
    const normalization = await readNormalization(options.dataset)
    const initial = run.#init === 'real' ? await run.#real.initial(run.#imagesPerClass) : undefined
    run.#data = await datasetIdentity(options.dataset, normalization, initial)
    try {
      run.#begin(normalization, initial)
      run.#initialImages = await run.#images()
      if (options.resume) await run.#restore(options.resume)
      return run
    } catch (error) {
      run.dispose()
      throw error
    }
  }

  /** What `distill` would do with these options, as plain data: its `settings`, and how many iterations. */
  static describe(options: DistillOptions): Readonly<Record<string, unknown>> {
    const run = new Distillation(options)
    run.dispose()
    return { steps: run.iterations, ...run.settings }
  }

  /** What a run records on the GPU until its first iterations are done. */
  static rehearse(options: DistillOptions): void {
    const run = new Distillation(options)
    const { channels, height, width, classNames } = options.dataset
    const initial = new Float32Array(classNames.length * run.#imagesPerClass * channels * height * width)
    try {
      run.#begin(knownNormalization(options.dataset), run.#init === 'real' ? initial : undefined)
      drawnImages(run.#space, run.#parameters, ...run.#drawing()).dispose()
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
    rejectUnknownOptions('distill', options, DISTILL_OPTIONS)
    const { dataset, objective, onProgress } = options
    if (typeof objective?.start !== 'function') {
      throw optionError(`distill: objective is ${formatValue(objective)}.`, 'Pass dm(), dc() or mtt({ experts }).')
    }
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw optionError(`distill: onProgress is ${formatValue(onProgress)}.`, 'Pass a function.')
    }
    this.#space = spaceOf('distill', options, dataset)
    this.#dataset = dataset
    this.#objective = objective
    this.iterations = atLeastOne('distill', 'steps', options.steps ?? 100)
    this.#imagesPerClass = atLeastOne('distill', 'imagesPerClass', options.imagesPerClass ?? 1)
    const count = dataset.classNames.length * this.#imagesPerClass
    this.#ranges = chunksOf(count, atLeastOne('distill', 'chunk', options.chunk ?? 10))
    this.#seed = seedOf('distill', options.seed ?? 0)
    this.#augmentation = options.augmentation ?? ALL_AUGMENTATIONS
    checkStrategy('distill', this.#augmentation)
    this.#student = options.student ?? defaultStudent(dataset)
    checkStudent('distill', this.#student, dataset)
    this.#learned = learnedOf(this.#space, options.learn)
    this.#signal = options.signal
    this.#onProgress = onProgress
    this.#realBatch = atLeastOne('distill', 'realBatch', options.realBatch ?? 64)
    this.#real = new RealImages(dataset, {
      batch: this.#realBatch,
      batches: objective.realBatches ?? 1,
      seed: this.#seed,
      iterations: this.iterations,
    })
    this.#init = oneOf('distill', 'init', options.init ?? 'real', ['real', 'gaussian'])
    const lr = positive('distill', 'learningRate', options.learningRate ?? objective.learningRate[this.#space.name])
    this.#sgd = { lr, momentum: share('distill', 'momentum', options.momentum ?? 0.5, '< 1') }
  }

  /** Makes what is learned, from the initial images [M, C, H, W] in [0, 1] or, without them, from normal latents. */
  #begin(normalization: Normalization | undefined, initial: Float32Array | undefined): void {
    // A plan without statistics needs numbers, no matter which.
    const ones = new Array<number>(this.#dataset.channels).fill(1)
    this.#normalization = normalization ?? { mean: ones, std: ones }
    this.#matcher = this.#objective.start({
      ...{ device: this.#space.device, student: this.#student, classNames: this.#dataset.classNames },
      ...{ imagesPerClass: this.#imagesPerClass, normalization },
      random: new HostRandom({ seed: this.#seed, stream: 0 }).fork('objective'),
    })
    this.#parameters = this.#space.initial({
      labels: groupedLabels(this.#dataset.classNames.length, this.#imagesPerClass),
      ...{ images: initial, seed: this.#seed, normalization: this.#normalization },
    })
    this.#optimizer = new Sgd(pickNames(this.#parameters, this.#learned), this.#sgd)
  }

  /** Synthetic images. */
  get #count(): number {
    return (this.#ranges.at(-1) as [number, number])[1]
  }

  async iterate(): Promise<void> {
    if (this.#signal?.aborted) await this.#stop('aborted', 'The distillation was aborted', 'The result so far is kept.')
    try {
      await this.#real.prepare(this.iteration)
      await this.#matcher.prepare?.(this.iteration)
    } catch (error) {
      if (!(error instanceof Ld3mError)) throw error
      await this.#stop(
        'data',
        'What an iteration needs could not be read',
        `${error.message} The result so far is kept.`,
      )
    }
    const step = scope(() => this.#gradients())
    const [loss = Number.NaN, ...squares] = await step.report.read()
    step.report.dispose()
    const norms = this.#learned.map((name, i) => [name, Math.sqrt(squares[i] as number)] as const)
    const own = squares.slice(norms.length).reduce((a, b) => a + b, 0)
    const watched: (readonly [string, number])[] = [
      ['loss', loss],
      ...norms.map(([name, norm]) => [`gradient of the ${name}`, norm] as const),
      ['gradient of what the objective learns itself', own],
    ]
    const [first = loss] = this.#loss
    const exploded = watched.find(([what, value]) =>
      what === 'loss' ? hasExploded(value, first) : !Number.isFinite(value),
    )
    if (exploded) {
      for (const g of [...Object.values(step.gradients), ...Object.values(step.own)]) g.dispose()
      const [what, value] = exploded
      const fix = 'Start again with a lower learningRate; the last good state is kept.'
      await this.#stop('numeric', `The ${what} ${whatBecame(value, first)},`, fix, () => this.#goBack())
    }
    this.#update(step.gradients, step.own)
    this.#loss.push(loss)
    await this.#onProgress?.(this.#progress(loss, Object.fromEntries(norms)))
    this.#warm ??= performance.now()
  }

  #update(gradients: NamedTensors, own: NamedTensors): void {
    if (this.#accepted) disposeTensors(this.#accepted)
    this.#accepted = copyTensors(this.#tensors)
    this.#optimizer.step(gradients)
    this.#matcher.update?.(own)
    for (const g of [...Object.values(gradients), ...Object.values(own)]) g.dispose()
    this.iteration++
  }

  /** One iteration's gradients, those of the matcher's own, and [loss, …, each squared norm of both]. */
  #gradients(): { gradients: NamedTensors; own: NamedTensors; report: Tensor } {
    const space = this.#space
    const parameters = this.#parameters
    const ranges = this.#ranges
    const normalization = this.#normalization
    const random = new HostRandom({ seed: this.#seed, stream: 0 }).fork(`iteration ${this.iteration}`)
    const noise = space.noise(this.#count, random.integer(2 ** 32))

    // With one chunk its graph is kept; with more, each is generated again when its gradient is taken.
    const whole = ranges.length === 1 ? scope(() => space.images(parameters, noise, normalization)) : undefined
    const images = whole?.detach() ?? drawImages(space, parameters, noise, normalization, ranges)
    const { loss, gradient, own = {} } = scope(() => this.#match(images, random))

    const names = this.#learned
    const parts = ranges.map((range) =>
      scope(() => {
        if (whole) return grad(whole, tensorsOf(parameters, names), { gradOutput: gradient })
        const [part, partNoise] = sliceAll(parameters, noise, range)
        const leaves = mapParameters(part, (t) => t.detach().leaf())
        const chunkImages = scope(() => space.images(leaves, partNoise, normalization))
        return grad(chunkImages, tensorsOf(leaves, names), { gradOutput: ops.slice(gradient, 0, ...range) })
      }),
    )
    const gradients: Record<string, Tensor> = {}
    names.forEach((name, i) => {
      const ofName = parts.map((p) => p[i] as Tensor)
      gradients[name] = ofName.length === 1 ? (ofName[0] as Tensor) : ops.concat(ofName, 0)
    })
    const squared = [...Object.values(gradients), ...Object.values(own)].map((g) =>
      ops.reshape(ops.sum(ops.square(g)), [1]),
    )
    return { gradients, own, report: ops.concat([ops.reshape(loss, [1]), ...squared], 0) }
  }

  #match(images: Tensor, random: HostRandom) {
    const { device } = this.#space
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

  #progress(loss: number, gradientNorm: DistillProgress['gradientNorm']): DistillProgress {
    const { iteration, iterations } = this
    const seconds = (performance.now() - this.#started) / 1000
    const done = iteration - this.#first
    const mean = this.#warm === undefined ? seconds / done : (performance.now() - this.#warm) / 1000 / (done - 1)
    const { current, peak } = this.#space.device.memory
    return {
      iteration,
      iterations,
      loss,
      gradientNorm,
      seconds,
      secondsLeft: mean * (iterations - iteration),
      imagesPerSecond: (done * this.#count) / seconds,
      memory: { current, peak },
      snapshot: () => this.snapshot(),
      save: () => this.#save(),
    }
  }

  async snapshot(): Promise<DistilledSet> {
    const { latents, conditioning } = this.#parameters
    const host = async (t: Tensor): Promise<HostTensor> => ({ shape: t.shape, data: await t.read() })
    const classes = this.#dataset.classNames.length
    const images = await this.#images()
    return {
      images,
      initialImages: this.#initialImages as DistilledSet['initialImages'],
      labels: groupedLabels(classes, this.#imagesPerClass),
      classNames: this.#dataset.classNames,
      ...(latents && { latents: await host(latents) }),
      ...(conditioning && { conditioning: await host(conditioning) }),
      normalization: this.#normalization,
      loss: [...this.#loss],
      ...(await this.#matcher.learned?.()),
    }
  }

  async #save(): Promise<Uint8Array> {
    return await writeRunState({ ...this.#tensors, recipe: await this.#recipe(), loss: this.#loss })
  }

  async #restore(bytes: Uint8Array): Promise<void> {
    const { objective, loss } = readRunState(bytes, { ...this.#tensors, recipe: await this.#recipe() })
    if (loss.length > this.iterations) {
      throw optionError(
        `distill: ${loss.length} iterations are done, and steps is ${this.iterations}.`,
        `Ask for ${loss.length} or more.`,
      )
    }
    this.#matcher.restore(objective)
    this.#loss.push(...loss)
    this.iteration = this.#first = loss.length
  }

  /** All that later iterations depend on. */
  get #tensors(): RunTensors {
    return {
      parameters: { ...this.#parameters },
      velocity: this.#optimizer.stateDict(),
      objective: this.#matcher.state(),
    }
  }

  /** Undoes the last update, after which the loss was not what it should be. */
  async #goBack(): Promise<void> {
    if (!this.#accepted) return
    const loss = this.#loss.slice(0, -1)
    const state = await writeRunState({ ...this.#accepted, recipe: await this.#recipe(), loss })
    this.#loss.length = 0
    await this.#restore(state)
  }

  /** The options that are plain data, with their defaults, but for the number of iterations. */
  get settings(): Readonly<Record<string, unknown>> {
    return {
      ...{
        space: this.#space.name,
        ...this.#space.settings,
        imagesPerClass: this.#imagesPerClass,
        init: this.#init,
        seed: this.#seed,
      },
      ...{ learned: this.#learned, learningRate: this.#sgd.lr, momentum: this.#sgd.momentum },
      // Nothing follows from it where the objective asks for no real images.
      ...(this.#objective.realBatches !== 0 && { realBatch: this.#realBatch }),
      augmentation: this.#augmentation,
      chunk: (this.#ranges[0] as [number, number])[1],
    }
  }

  /** All that the result's bits follow from on one adapter, but the number of iterations, which may grow. */
  async #recipe(): Promise<Readonly<Record<string, unknown>>> {
    const { name, options } = this.#objective
    return {
      ...{ dataset: this.#data, student: studentIdentity(this.#student), objective: { name, ...options } },
      ...this.settings,
      ...(await this.#space.identity()),
    }
  }

  /** The images that are shown and evaluated: always with the same noise, so that pictures differ by learning alone. */
  #images(): Promise<DistilledSet['images']> {
    return readImages(this.#space, this.#parameters, ...this.#drawing())
  }

  #drawing() {
    return [this.#normalization, this.#ranges, this.#seed] as const
  }

  async #stop(
    code: 'aborted' | 'numeric' | 'data',
    what: string,
    fix: string,
    goBack?: () => Promise<void>,
  ): Promise<never> {
    const when = `${what} after ${this.iteration} of ${this.iterations} iterations.`
    await goBack?.()
    throw new DistillationStopped(code, when, fix, await this.snapshot(), await this.#save())
  }

  /** Frees what is learned, or what of it there was when the start failed. */
  dispose(): void {
    if (this.#accepted) disposeTensors(this.#accepted)
    this.#matcher?.dispose()
    this.#optimizer?.dispose()
    for (const t of Object.values(this.#parameters ?? {})) t.dispose()
  }
}

const LEARN = ['latents', 'conditioning', 'both'] as const

/** Names of what is learned in a space, by the option `learn`. */
function learnedOf({ name, learnable }: ImageSpace, learn: DistillOptions['learn']): readonly ParameterName[] {
  if (learn === undefined) return learnable
  const wanted: readonly ParameterName[] =
    oneOf('distill', 'learn', learn, LEARN) === 'both' ? ['latents', 'conditioning'] : [learn as ParameterName]
  if (wanted.every((parameter) => learnable.includes(parameter))) return wanted
  throw optionError(
    `distill: learn is '${learn}', but in space '${name}', ${learnable.join(' and ')} are all that is learned here.`,
    'Leave learn out, or use a conditional prior in latent-diffusion space.',
  )
}

const tensorsOf = (parameters: SyntheticParameters, names: readonly ParameterName[]): Tensor[] =>
  names.map((name) => parameters[name] as Tensor)

const pickNames = (parameters: SyntheticParameters, names: readonly ParameterName[]): NamedTensors =>
  Object.fromEntries(names.map((name) => [name, parameters[name] as Tensor]))
