import type { Tensor } from '../autograd/index.ts'
import { givenOptions, optionError, rejectNonBooleans, rejectUnknownOptions } from '../errors.ts'
import { sgdUpdate } from '../kernels/index.ts'
import { checkGradients, checkParameters, checkRange, copyAll, type NamedTensors, zerosLike } from './state.ts'

export interface SgdOptions {
  /** Learning rate, at least 0. */
  lr: number
  /** 0 ≤ momentum < 1. Default 0. */
  momentum?: number
  /** Added to the gradient times the parameter (L2), at least 0. Default 0. */
  weightDecay?: number
  /** Nesterov's momentum. Default false. */
  nesterov?: boolean
}

/**
 * Stochastic gradient descent, by PyTorch's rule (no dampening), one kernel a parameter.
 *
 * Parameters are updated in place. Kernels run in the order they were recorded, so everything computed before `step`
 * saw the old values. A graph that saved a parameter refuses its gradients afterwards: take all of them before.
 */
export class Sgd {
  /** The learning rate of the next step. */
  lr: number
  readonly #parameters: NamedTensors
  readonly #options: Required<SgdOptions>
  readonly #velocity: Record<string, Tensor>

  constructor(parameters: NamedTensors, options: SgdOptions) {
    rejectUnknownOptions('Sgd', options, ['lr', 'momentum', 'weightDecay', 'nesterov'])
    const resolved = { momentum: 0, weightDecay: 0, nesterov: false, ...givenOptions(options) }
    checkRange('Sgd', 'lr', resolved.lr, 0, Number.POSITIVE_INFINITY)
    checkRange('Sgd', 'momentum', resolved.momentum, 0, 1)
    checkRange('Sgd', 'weightDecay', resolved.weightDecay, 0, Number.POSITIVE_INFINITY)
    rejectNonBooleans('Sgd', { nesterov: resolved.nesterov })
    if (resolved.nesterov && resolved.momentum === 0) {
      throw optionError('Sgd: nesterov needs momentum.', 'Set momentum above 0, or leave nesterov out.')
    }
    this.#options = resolved
    this.lr = resolved.lr
    checkParameters('Sgd', parameters)
    this.#parameters = parameters
    this.#velocity = resolved.momentum > 0 ? zerosLike(parameters) : {}
  }

  /** Updates every parameter by its gradient, of the same name. */
  step(gradients: NamedTensors): void {
    checkGradients('Sgd.step', this.#parameters, gradients)
    const constants = { ...this.#options, learningRate: this.lr }
    for (const [name, p] of Object.entries(this.#parameters)) {
      const gradient = (gradients[name] as Tensor).buffer
      sgdUpdate(p.device, p.buffer, gradient, this.#velocity[name]?.buffer, p.size, constants)
    }
  }

  /** What to save beside the parameters: velocities by parameter name; empty without momentum. Live, not copies. */
  stateDict(): Record<string, Tensor> {
    return { ...this.#velocity }
  }

  /** Copies a saved state in. */
  loadStateDict(state: NamedTensors): void {
    copyAll('Sgd.loadStateDict', this.#velocity, state)
  }

  /** Frees the velocities; the parameters stay. */
  dispose(): void {
    for (const v of Object.values(this.#velocity)) v.dispose()
  }
}
