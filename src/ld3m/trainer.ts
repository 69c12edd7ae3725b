import { grad, scope, type Tensor, tensor } from '../autograd/index.ts'
import { dataError, Ld3mError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../io/index.ts'
import type { StateDict } from '../models/index.ts'
import { Adam, Ema } from '../optim/index.ts'

export interface TrainerOptions {
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
  /** The loss of one step; its draws must depend on `step` alone, so that a resumed run repeats them. */
  loss: (step: number) => Tensor
  /** Called after each step, outside any scope. */
  afterStep?: (step: number) => Promise<void>
  /** Called every `reportEvery` steps with their mean loss. */
  onProgress?: (progress: TrainProgress) => void | Promise<void>
  signal?: AbortSignal | undefined
}

export interface TrainProgress {
  readonly stage: string
  readonly step: number
  readonly steps: number
  /** Mean over the steps since the last report. */
  readonly loss: number
  readonly seconds: number
  readonly secondsLeft: number
  /** Everything needed to go on from here, as safetensors. */
  save(): Promise<Uint8Array>
}

/** Steps between reports. */
const REPORT_EVERY = 20

/** Adam on a loss, with a moving average, reports, and a state that can be saved and resumed exactly. */
export class Trainer {
  step = 0
  readonly #options: TrainerOptions
  readonly #adam: Adam
  readonly #ema: Ema | undefined
  readonly #curve: number[] = []

  constructor(options: TrainerOptions) {
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

  async run(): Promise<void> {
    const { name, parameters, steps, signal } = this.#options
    const names = Object.keys(parameters)
    const leaves = Object.values(parameters)
    const started = performance.now()
    const first = this.step
    let losses: Tensor[] = []
    while (this.step < steps) {
      if (signal?.aborted) {
        throw new Ld3mError(
          'aborted',
          `${name}: aborted after ${this.step} of ${steps} steps.`,
          'Resume from the saved state.',
        )
      }
      this.#adam.lr = this.#options.learningRate(this.step)
      losses.push(
        scope(() => {
          const loss = this.#options.loss(this.step)
          // Parameters that a fast path leaves out (cross-attention over one token) have an exact gradient of zero.
          const gradients = grad(loss, leaves, { allowUnused: true })
          this.#adam.step(Object.fromEntries(names.map((n, i) => [n, gradients[i] as Tensor])))
          this.#ema?.update()
          return loss.detach()
        }),
      )
      await this.#options.afterStep?.(this.step)
      this.step++
      if (this.step % REPORT_EVERY === 0 || this.step === steps) {
        let sum = 0
        for (const loss of losses) sum += await loss.item()
        for (const loss of losses) loss.dispose()
        const mean = sum / losses.length
        losses = []
        if (!Number.isFinite(mean)) {
          throw new Ld3mError(
            'numeric',
            `${name}: the loss became ${mean} by step ${this.step}.`,
            'Lower the learning rate.',
          )
        }
        this.#curve.push(mean)
        const seconds = (performance.now() - started) / 1000
        const secondsLeft = (seconds / (this.step - first)) * (steps - this.step)
        await this.#options.onProgress?.({
          ...{ stage: name, step: this.step, steps, loss: mean, seconds, secondsLeft },
          save: () => this.save(),
        })
      }
    }
  }

  /** Parameters, moments, averages and the step, as safetensors. */
  async save(): Promise<Uint8Array> {
    const tensors = new Map<string, StoredTensor>()
    for (const [name, t] of Object.entries(this.#state())) {
      tensors.set(name, { dtype: 'F32', shape: t.shape, data: await t.read() })
    }
    return writeSafetensors(tensors, {
      trainer: this.#options.name,
      step: `${this.step}`,
      curve: JSON.stringify(this.#curve),
    })
  }

  /** Goes on from a saved state. */
  restore(bytes: Uint8Array): void {
    const { name } = this.#options
    const { tensors, metadata } = readSafetensors(bytes, `the saved state of ${name}`)
    const state = this.#state()
    const fits =
      metadata.trainer === name &&
      tensors.size === Object.keys(state).length &&
      Object.entries(state).every(([n, t]) => `${tensors.get(n)?.shape}` === `${t.shape}`)
    if (!fits) throw dataError(`The saved state is not one of '${name}' as configured.`, 'Delete it to start again.')
    for (const [n, t] of Object.entries(state)) t.write(toFloat32(tensors.get(n) as StoredTensor))
    this.step = Number(metadata.step)
    this.#adam.stepCount = this.step
    if (this.#ema) this.#ema.updates = this.step
    this.#curve.push(...(JSON.parse(metadata.curve ?? '[]') as number[]))
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

/** A column [N, 1, 1, 1] of one number a sample. */
export const perSample = (device: Device, values: readonly number[]): Tensor =>
  tensor(device, values, { shape: [values.length, 1, 1, 1] })
