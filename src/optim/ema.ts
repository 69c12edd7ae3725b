import type { Tensor } from '../autograd/index.ts'
import { optionError, rejectNonBooleans, rejectUnknownOptions } from '../errors.ts'
import { emaUpdate } from '../kernels/index.ts'
import { checkParameters, checkRange, copyAll, type NamedTensors, zerosLike } from './state.ts'

export interface EmaOptions {
  /** From 0 and below 1: the weight of the past. */
  decay: number
  /** Decay min(k/(k+1), decay) at update k = 0, 1, …: a plain mean at first. Default false. */
  warmup?: boolean
}

/** An exponential moving average of parameters, which starts as a copy of them. */
export class Ema {
  /** The averages by parameter name. Live: they change with every update. */
  readonly average: NamedTensors
  readonly #parameters: NamedTensors
  readonly #decay: number
  readonly #warmup: boolean
  #updates = 0

  constructor(parameters: NamedTensors, options: EmaOptions) {
    rejectUnknownOptions('Ema', options, ['decay', 'warmup'])
    checkRange('Ema', 'decay', options.decay, 0, 1)
    rejectNonBooleans('Ema', { warmup: options.warmup })
    checkParameters('Ema', parameters)
    this.#parameters = parameters
    this.#decay = options.decay
    this.#warmup = options.warmup ?? false
    this.average = zerosLike(parameters)
    copyAll('Ema', this.average, parameters)
  }

  /** Updates made. Set it along with `loadStateDict`, if there is a warm-up. */
  get updates(): number {
    return this.#updates
  }

  set updates(count: number) {
    if (!Number.isInteger(count) || count < 0) throw optionError(`Ema: updates is ${count}.`, 'Use an integer ≥ 0.')
    this.#updates = count
  }

  /** Moves the averages towards the parameters' present values. */
  update(): void {
    const k = this.#updates
    // A plan of memory leaves the averages as they are.
    if (!Object.values(this.#parameters).some((p) => p.device.rehearsing)) this.#updates++
    const decay = this.#warmup ? Math.min(k / (k + 1), this.#decay) : this.#decay
    for (const [name, p] of Object.entries(this.#parameters)) {
      emaUpdate(p.device, (this.average[name] as Tensor).buffer, p.buffer, p.size, 1 - decay)
    }
  }

  /** What to save: the averages. Live, not copies. */
  stateDict(): Record<string, Tensor> {
    return { ...this.average }
  }

  /** Copies saved averages in. */
  loadStateDict(state: NamedTensors): void {
    copyAll('Ema.loadStateDict', this.average, state)
  }

  /** Frees the averages; the parameters stay. */
  dispose(): void {
    for (const t of Object.values(this.average)) t.dispose()
  }
}
