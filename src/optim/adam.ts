import type { Tensor } from '../autograd/index.ts'
import { formatValue, givenOptions, optionError, rejectUnknownOptions } from '../errors.ts'
import { adamUpdate } from '../kernels/index.ts'
import { checkGradients, checkParameters, checkRange, copyAll, type NamedTensors, zerosLike } from './state.ts'

export interface AdamOptions {
  /** Learning rate, at least 0. */
  lr: number
  /** Decay of the moments, each from 0 and below 1. Default [0.9, 0.999]. */
  betas?: readonly [number, number]
  /** Default 1e-8. */
  eps?: number
  /** Added to the gradient times the parameter (L2), at least 0. Default 0. */
  weightDecay?: number
}

/** Adam (Kingma & Ba 2015), by PyTorch's rule, one kernel a parameter. Updates in place: see `Sgd`. */
export class Adam {
  /** The learning rate of the next step. */
  lr: number
  readonly #parameters: NamedTensors
  readonly #options: Required<AdamOptions>
  readonly #mean: Record<string, Tensor>
  readonly #square: Record<string, Tensor>
  #stepCount = 0

  constructor(parameters: NamedTensors, options: AdamOptions) {
    rejectUnknownOptions('Adam', options, ['lr', 'betas', 'eps', 'weightDecay'])
    const resolved = { betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0, ...givenOptions(options) }
    checkRange('Adam', 'lr', resolved.lr, 0, Number.POSITIVE_INFINITY)
    if (!Array.isArray(resolved.betas) || resolved.betas.length !== 2) {
      throw optionError(`Adam: betas is ${formatValue(resolved.betas)}.`, 'Use two numbers, such as [0.9, 0.999].')
    }
    for (const beta of resolved.betas) checkRange('Adam', 'a beta', beta, 0, 1)
    checkRange('Adam', 'eps', resolved.eps, 0, Number.POSITIVE_INFINITY)
    checkRange('Adam', 'weightDecay', resolved.weightDecay, 0, Number.POSITIVE_INFINITY)
    this.#options = resolved
    this.lr = resolved.lr
    checkParameters('Adam', parameters)
    this.#parameters = parameters
    this.#mean = zerosLike(parameters)
    this.#square = zerosLike(parameters)
  }

  /** Steps taken. Set it along with `loadStateDict`: the bias corrections follow from it. */
  get stepCount(): number {
    return this.#stepCount
  }

  set stepCount(count: number) {
    if (!Number.isInteger(count) || count < 0) throw optionError(`Adam: stepCount is ${count}.`, 'Use an integer ≥ 0.')
    this.#stepCount = count
  }

  /** Updates every parameter by its gradient, of the same name. */
  step(gradients: NamedTensors): void {
    checkGradients('Adam.step', this.#parameters, gradients)
    const { betas, eps, weightDecay } = this.#options
    const [beta1, beta2] = betas
    const constants = { learningRate: this.lr, beta1, beta2, eps, weightDecay, step: this.#stepCount + 1 }
    const parameters = Object.entries(this.#parameters)
    // A plan of memory leaves the moments as they are.
    if (!parameters.some(([, p]) => p.device.rehearsing)) this.#stepCount++
    for (const [name, p] of parameters) {
      const [mean, square] = [this.#mean[name] as Tensor, this.#square[name] as Tensor]
      adamUpdate(p.device, p.buffer, (gradients[name] as Tensor).buffer, mean.buffer, square.buffer, p.size, constants)
    }
  }

  /**
   * What to save beside the parameters and `stepCount`: `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`, as PyTorch
   * names them. Live, not copies.
   */
  stateDict(): Record<string, Tensor> {
    return Object.fromEntries(
      Object.keys(this.#parameters).flatMap((name) => [
        [`${name}.exp_avg`, this.#mean[name] as Tensor],
        [`${name}.exp_avg_sq`, this.#square[name] as Tensor],
      ]),
    )
  }

  /** Copies saved moments in; set `stepCount` to the saved one too. */
  loadStateDict(state: NamedTensors): void {
    copyAll('Adam.loadStateDict', this.stateDict(), state)
  }

  /** Frees the moments; the parameters stay. */
  dispose(): void {
    for (const t of Object.values(this.stateDict())) t.dispose()
  }
}
