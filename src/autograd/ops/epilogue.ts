import { optionError } from '../../errors.ts'
import { type Saves, savesFactors, type VjpContext } from '../op.ts'
import type { Tensor } from '../tensor.ts'
import { reluGradOp } from './unary.ts'

// What convolutions and matrix products do to their result in the same kernel: activation(product + bias + residual).
// Inputs are the two factors, then the bias and the residual, each if there is one.

export interface EpilogueAttrs {
  readonly activation?: 'relu'
  /** The last input is the residual. */
  readonly residual?: true
}

export interface EpilogueOptions {
  /** Added to each output channel, or to each row: as long as these. */
  bias?: Tensor | undefined
  /** Added to the result, before the activation; of its shape. */
  residual?: Tensor | undefined
  /** Default none. */
  activation?: 'relu' | undefined
}

/** The inputs and attributes that options ask for, after the two factors. */
export function withEpilogue(
  where: string,
  factors: readonly [Tensor, Tensor],
  { bias, residual, activation }: EpilogueOptions,
): { inputs: Tensor[]; attrs: EpilogueAttrs } {
  if (activation !== undefined && activation !== 'relu') {
    throw optionError(
      `${where}: unknown activation '${activation}'.`,
      "Use 'relu', or apply another one to the result.",
    )
  }
  return {
    inputs: [...factors, ...(bias ? [bias] : []), ...(residual ? [residual] : [])],
    attrs: { ...(activation ? { activation } : {}), ...(residual ? { residual: true } : {}) },
  }
}

export function epilogueInputs(inputs: readonly Tensor[], attrs: EpilogueAttrs) {
  const [x, weight, third] = inputs as [Tensor, Tensor, ...(Tensor | undefined)[]]
  const residual = attrs.residual ? inputs.at(-1) : undefined
  return { x, weight, bias: third === residual && inputs.length === 3 ? undefined : third, residual }
}

/** The factors, and the output where the activation's gradient reads it. */
export const savesOf = ({ activation }: EpilogueAttrs, needs: readonly boolean[]): readonly Saves[] => [
  ...savesFactors(needs),
  ...(activation ? ['output' as const] : []),
]

/** The gradient with respect to product + bias + residual. */
export const gradOfSum = ({ grad, attrs, output }: VjpContext<EpilogueAttrs>): Tensor =>
  attrs.activation ? reluGradOp.apply([grad, output().detach()], {}) : grad

/** The gradients with respect to the inputs after the factors. */
export function epilogueGradients(
  { needs, shapes, attrs }: VjpContext<EpilogueAttrs>,
  grad: Tensor,
  ofBias: () => Tensor,
): (Tensor | undefined)[] {
  const residual = attrs.residual ? shapes.length - 1 : -1
  return shapes.slice(2).map((_, i) => (needs[i + 2] ? (i + 2 === residual ? grad : ofBias()) : undefined))
}
