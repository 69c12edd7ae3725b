import { grad, scope, type Tensor, tensor } from '../autograd/index.ts'
import { dataError, Ld3mError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { differences, readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../io/index.ts'
import type { StateDict } from '../models/index.ts'
import { Adam, Ema } from '../optim/index.ts'
import { hasExploded, whatBecame } from './explosion.ts'

export interface TrainerOptions<Batch> {
  /** For messages and for the metadata of saved states. */
  name: string
  device: Device
  /** Leaves, updated in place. */
  parameters: StateDict
  steps: number
  /** Learning rate at each step. */
  learningRate: (step: number) => number
  /** Decay of an exponential moving average of the parameters; none if omitted. */
  emaDecay?: number
  /** What all steps follow from, as plain data: a saved state is gone on from under the same alone. */
  recipe: object
  /** What a step is taken on; read while the GPU works on the step before. Its draws must depend on `step` alone. */
  batch: (step: number) => Promise<Batch>
  /** What `batch` gives, but read from nowhere: a plan of memory runs through it. */
  blank: () => Batch
  /** Steps beside the first two, in order, that a plan of memory runs through: those that need more than others. */
  rehearsed?: readonly number[]
  /** The loss of one step; its draws must depend on `step` alone, so that a resumed run repeats them. */
  loss: (batch: Batch, step: number) => Tensor
  /** Called after each step, outside any scope. */
  afterStep?: (step: number) => Promise<void>
  /** Frees what these functions keep between steps; called however the training ends. */
  release?: () => void
  /** False where more is kept between steps than a saved state holds. Must be true every 20 steps. */
  canStop?: (step: number) => boolean
  /** Called every 20 steps, at first every 5, and after the very first. */
  onProgress?: ((progress: TrainProgress) => void | Promise<void>) | undefined
  signal?: AbortSignal | undefined
}

/** What a caller of a training may pass on to its trainers. */
export type TrainerHooks = Pick<TrainerOptions<unknown>, 'onProgress' | 'signal'>

export interface TrainProgress {
  readonly stage: string
  readonly step: number
  readonly steps: number
  /** Mean over the steps since the last multiple of 20. */
  readonly loss: number
  readonly seconds: number
  /** By the steps since the first report, which compile nothing; at first by those before it. */
  readonly secondsLeft: number
  /** Everything needed to go on from here, as safetensors. */
  save(): Promise<Uint8Array>
}

/** Why a training ended early, with what it goes on from. Printed, an error that nobody caught shows no arrays. */
export class TrainingStopped extends Ld3mError {
  readonly #state: Uint8Array | undefined

  constructor(
    what: string,
    readonly stage: string,
    state: Uint8Array | undefined,
  ) {
    super('aborted', what, state ? 'Go on from the saved state.' : 'Call it again to begin.')
    this.#state = state
  }

  /** The same as `save()` of `TrainProgress` gives; none before the first step. */
  get state(): Uint8Array | undefined {
    return this.#state
  }
}

/** Steps between waits for the GPU, so that an abort is noticed and the queue stays short. */
const STEPS_A_WAIT = 5
/** Steps between reports. */
const REPORT_EVERY = 20

/** Adam on a loss, with a moving average, reports, and a state that can be saved and resumed exactly. */
export class Trainer<Batch = unknown> {
  step = 0
  readonly #options: TrainerOptions<Batch>
  readonly #adam: Adam
  readonly #ema: Ema | undefined
  readonly #curve: number[] = []
  /** Losses of the last steps, which nobody has read. */
  readonly #unread: Tensor[] = []
  /** Those since the last entry of the curve. */
  #losses: number[] = []
  /** Of the very first step, also where this run goes on from a saved state. */
  #firstLoss: number | undefined

  constructor(options: TrainerOptions<Batch>) {
    this.#options = options
    this.#adam = new Adam(options.parameters, { lr: options.learningRate(0) })
    this.#ema = options.emaDecay === undefined ? undefined : new Ema(options.parameters, { decay: options.emaDecay })
  }

  /** The averaged parameters, or the parameters themselves without averaging. */
  get result(): StateDict {
    return this.#ema?.average ?? this.#options.parameters
  }

  /** Mean losses, one for each 20 steps. */
  get curve(): readonly number[] {
    return this.#curve
  }

  /**
   * @throws TrainingStopped if the signal fires; Ld3mError `numeric` if a loss is not finite or exceeds a million times
   * the first one, or what `batch` throws
   */
  async run(): Promise<void> {
    const { name, device, steps, signal, batch, canStop = () => true } = this.#options
    const started = performance.now()
    const first = this.step
    /** When the first report was done: steps before it compile kernels. */
    let warm: { readonly step: number; readonly time: number } | undefined
    const read = (step: number): Promise<Batch> => {
      const ahead = batch(step)
      // Whoever waits for that step is told; until then nobody is.
      ahead.catch(() => undefined)
      return ahead
    }
    try {
      let next = this.step < steps ? read(this.step) : undefined
      while (next) {
        if (signal?.aborted && canStop(this.step)) await this.#stop()
        const data: Batch = await next
        next = this.step + 1 < steps ? read(this.step + 1) : undefined
        this.#unread.push(this.#update(data))
        await this.#options.afterStep?.(this.step)
        this.step++
        if (this.step % STEPS_A_WAIT === 0) await device.synchronize()
        const isMark = this.step % REPORT_EVERY === 0 || this.step === steps
        // At first more often: the first step tells that it runs, the next few how long it will take.
        const isEarly = !warm || (this.step - first < REPORT_EVERY && this.step % STEPS_A_WAIT === 0)
        if (!isMark && !(isEarly && canStop(this.step))) continue
        await this.#readLosses()
        const loss = meanOf(this.#losses)
        if (isMark) {
          this.#curve.push(loss)
          this.#losses = []
        }
        const now = performance.now()
        const secondsAStep = (now - (warm?.time ?? started)) / 1000 / (this.step - (warm?.step ?? first))
        await this.#options.onProgress?.({
          ...{ stage: name, step: this.step, steps, loss, seconds: (now - started) / 1000 },
          secondsLeft: secondsAStep * (steps - this.step),
          save: () => this.save(),
        })
        warm ??= { step: this.step, time: performance.now() }
      }
    } finally {
      for (const loss of this.#unread.splice(0)) loss.dispose()
      this.#options.release?.()
    }
  }

  /**
   * What the first two steps, of which the second updates what the first one allocates, and those of `rehearsed` record on
   * the GPU, in a plan of memory. The trainer is of no use for a training after it.
   */
  rehearse(): void {
    const { steps, rehearsed = [], blank, release } = this.#options
    for (const step of [0, 1, ...rehearsed]) {
      if (step >= steps) break
      this.step = step
      this.#unread.push(this.#update(blank()))
    }
    for (const loss of this.#unread.splice(0)) loss.dispose()
    release?.()
  }

  #update(data: Batch): Tensor {
    const { parameters, learningRate, loss: lossOf } = this.#options
    this.#adam.lr = learningRate(this.step)
    return scope(() => {
      const loss = lossOf(data, this.step)
      // Parameters that a fast path leaves out (cross-attention over one token) have an exact gradient of zero.
      const gradients = grad(loss, Object.values(parameters), { allowUnused: true })
      this.#adam.step(Object.fromEntries(Object.keys(parameters).map((name, i) => [name, gradients[i] as Tensor])))
      this.#ema?.update()
      return loss.detach()
    })
  }

  /** Reads the losses of the last steps. Throws at the first that says that the training went astray. */
  async #readLosses(): Promise<void> {
    const { name, steps } = this.#options
    let done = this.step - this.#unread.length
    for (const tensor of this.#unread) {
      const loss = await tensor.item()
      this.#firstLoss ??= loss
      if (hasExploded(loss, this.#firstLoss)) {
        throw new Ld3mError(
          'numeric',
          `${name}: the loss ${whatBecame(loss, this.#firstLoss)}, after ${done} of ${steps} steps.`,
          'Start again with a lower learningRate; what was saved before is left as it is.',
        )
      }
      this.#losses.push(loss)
      done++
    }
    for (const tensor of this.#unread.splice(0)) tensor.dispose()
  }

  async #stop(): Promise<never> {
    const { name, steps } = this.#options
    // A training that went astray is not saved.
    await this.#readLosses()
    throw new TrainingStopped(`${name}: aborted after ${this.step} of ${steps} steps.`, name, await this.save())
  }

  /** Parameters, moments, averages, losses and the step, as safetensors. */
  async save(): Promise<Uint8Array> {
    const tensors = new Map<string, StoredTensor>()
    for (const [name, t] of Object.entries(this.#state())) {
      tensors.set(name, { dtype: 'F32', shape: t.shape, data: await t.read() })
    }
    return writeSafetensors(tensors, {
      trainer: this.#options.name,
      recipe: JSON.stringify(this.#options.recipe),
      step: `${this.step}`,
      curve: JSON.stringify(this.#curve),
      losses: JSON.stringify(this.#losses),
      ...(this.#firstLoss !== undefined && { firstLoss: `${this.#firstLoss}` }),
    })
  }

  /**
   * Goes on from a saved state.
   * @throws Ld3mError `data` if it is none of this trainer's
   */
  restore(bytes: Uint8Array): void {
    const { name, recipe } = this.#options
    const { tensors, metadata } = readSafetensors(bytes, `the saved state of ${name}`)
    const state = this.#state()
    const before = metadata.trainer === name ? metadata.recipe : undefined
    const differing =
      before === undefined ? [name] : differences(JSON.parse(before), JSON.parse(JSON.stringify(recipe)))
    if (differing.length > 0) {
      throw dataError(
        `The saved state is of another training of '${name}': ${differing.slice(0, 5).join(', ')}.`,
        'Use the same options and data, or delete it to start again.',
      )
    }
    for (const [n, t] of Object.entries(state)) t.write(toFloat32(tensors.get(n) as StoredTensor))
    this.step = Number(metadata.step)
    if (metadata.firstLoss !== undefined) this.#firstLoss = Number(metadata.firstLoss)
    this.#adam.stepCount = this.step
    if (this.#ema) this.#ema.updates = this.step
    this.#curve.push(...(JSON.parse(metadata.curve ?? '[]') as number[]))
    // States of older versions have none.
    this.#losses = JSON.parse(metadata.losses ?? '[]') as number[]
  }

  #state(): Record<string, Tensor> {
    const prefixed = (prefix: string, tensors: StateDict) =>
      Object.entries(tensors).map(([name, t]) => [`${prefix}.${name}`, t] as const)
    return Object.fromEntries([
      ...prefixed('parameters', this.#options.parameters),
      ...prefixed('adam', this.#adam.stateDict()),
      ...(this.#ema ? prefixed('ema', this.#ema.average) : []),
    ])
  }

  /** Frees moments and averages; the parameters stay. */
  dispose(): void {
    this.#adam.dispose()
    this.#ema?.dispose()
  }
}

const meanOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** A column [N, 1, 1, 1] of one number a sample. */
export const perSample = (device: Device, values: readonly number[]): Tensor =>
  tensor(device, values, { shape: [values.length, 1, 1, 1] })
