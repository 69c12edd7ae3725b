import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { chain } from '../chain.ts'
import { gradientByRecording } from '../decompose.ts'
import { defineOp } from '../op.ts'
import { formatShape, type Shape } from '../shape.ts'
import { Storage } from '../storage.ts'
import { Tensor, zeros } from '../tensor.ts'
import { scale as scaleBy } from './arithmetic.ts'
import { matmul } from './matmul.ts'
import { softmax } from './softmax.ts'
import { sum } from './sum.ts'

export interface AttentionAttrs {
  readonly scale: number
}

function sizesOf(q: Shape, k: Shape, v: Shape): kernels.AttentionSizes {
  const [batch, queries, depth] = q as [number, number, number]
  const [, keys, width] = v as [number, number, number]
  const fits =
    [q, k, v].every((s) => s.length === 3 && s[0] === batch && s.every((d) => d > 0)) && k[1] === keys && k[2] === depth
  if (!fits) {
    throw shapeError(
      `attention: q has shape ${formatShape(q)}, k ${formatShape(k)}, v ${formatShape(v)}.`,
      'Expected q [B, Nq, D], k [B, Nk, D] and v [B, Nk, Dv], none empty.',
    )
  }
  return { batch, queries, keys, depth, width }
}

const attentionInOps = (q: Tensor, k: Tensor, v: Tensor, scale: number): Tensor =>
  matmul(softmax(matmul(scaleBy(q, scale), k, { transposeB: true })), v)

export const attentionOp = defineOp<AttentionAttrs>({
  name: 'attention',
  shape([q, k, v]) {
    const { batch, queries, width } = sizesOf((q as Tensor).shape, (k as Tensor).shape, (v as Tensor).shape)
    return [batch, queries, width]
  },
  forward(device, inputs, { scale }, shape) {
    const [q, k, v] = inputs as [Tensor, Tensor, Tensor]
    const sizes = sizesOf(q.shape, k.shape, v.shape)
    // The softmax of one score is 1: every query gets the only value, as in conditioning on one class token.
    if (sizes.keys === 1) return chain(device, undefined, [v], shape)
    const { output, lse } = kernels.attention(device, q.buffer, k.buffer, v.buffer, sizes, scale)
    return { output, extras: [{ buffer: lse, shape: [sizes.batch, sizes.queries] }] }
  },
  saves: [0, 1, 2, 'output', 'extras'],
  vjp(context) {
    const { grad, needs, attrs, createGraph } = context
    const [q, k, v] = context.shapes as [Shape, Shape, Shape]
    const sizes = sizesOf(q, k, v)
    const { device } = grad
    if (sizes.keys === 1) {
      return [
        needs[0] ? zeros(device, q) : undefined,
        needs[1] ? zeros(device, k) : undefined,
        needs[2] ? sum(grad, 1, { keepDims: true }) : undefined,
      ]
    }
    const inputs = [context.input(0), context.input(1), context.input(2)] as const
    if (createGraph) return gradientByRecording((q, k, v) => attentionInOps(q, k, v, attrs.scale), inputs, context)
    const buffers = {
      ...{ q: inputs[0].buffer, k: inputs[1].buffer, v: inputs[2].buffer },
      ...{ output: context.output().buffer, lse: context.extra(0).buffer, grad: grad.buffer },
    }
    return kernels
      .attentionGrad(device, buffers, needs, sizes, attrs.scale)
      .map((buffer, i) => buffer && new Tensor(new Storage(device, buffer), context.shapes[i] as Shape))
  },
})

export interface AttentionOptions {
  /** What scores q·k are multiplied with before the softmax. Default 1/√D. */
  scale?: number
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017), softmax(scale·q·kᵀ)·v, without storing all scores at once. Heads are
 * part of the batch. First-order gradients compute them again, from saved log-sum-exps; where a graph of the gradient is wanted, it is recorded
 * as matrix products and softmax, which do store the scores.
 * @param q [B, Nq, D]
 * @param k [B, Nk, D]
 * @param v [B, Nk, Dv]
 * @returns [B, Nq, Dv]
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  rejectUnknownOptions('attention', options, ['scale'])
  const { scale = (q.shape.at(-1) ?? 1) ** -0.5 } = options
  if (!Number.isFinite(scale)) throw optionError(`attention: scale is ${scale}.`, 'Use a finite number, as 1/√D.')
  return attentionOp.apply([q, k, v], { scale })
}
