import { shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import { formatShape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { mul, scale } from './arithmetic.ts'
import { fill } from './fill.ts'
import { softmax, softmaxGradOp } from './softmax.ts'
import { sum } from './sum.ts'

type None = Record<never, never>

function checkLabels(logits: Tensor, labels: Tensor): void {
  if (logits.rank !== 2 || labels.rank !== 1 || logits.shape[0] !== labels.shape[0] || logits.size === 0) {
    throw shapeError(
      `crossEntropy: logits have shape ${formatShape(logits.shape)}, labels ${formatShape(labels.shape)}.`,
      'Give logits of shape [N, C] and labels of shape [N], N and C at least 1.',
    )
  }
}

/** (softmax(logits) − onehot(labels))·g/N for a scalar g. */
export const crossEntropyGradOp: Op<None> = defineOp<None>({
  name: 'crossEntropyGrad',
  inputTypes: ['f32', 'i32', 'f32'],
  shape([logits, labels, g]) {
    checkLabels(logits as Tensor, labels as Tensor)
    if ((g as Tensor).size !== 1) {
      throw shapeError(
        `crossEntropyGrad: g has shape ${formatShape((g as Tensor).shape)}.`,
        'It is the gradient of a scalar.',
      )
    }
    return (logits as Tensor).shape
  },
  forward: (device, [logits, labels, g], _, [rows, columns]) =>
    kernels.crossEntropyGrad(
      device,
      (logits as Tensor).buffer,
      (labels as Tensor).buffer,
      (g as Tensor).buffer,
      rows as number,
      columns as number,
    ),
  saves: [0, 1, 2],
  vjp: ({ grad: h, input, needs, shapes: [logits] }) => {
    const rows = logits?.[0] as number
    const x = input(0)
    const g = input(2)
    return [
      needs[0] ? mul(softmaxGradOp.apply([h, softmax(x)], {}), scale(g, 1 / rows)) : undefined,
      undefined,
      needs[2] ? sum(mul(h, crossEntropyGradOp.apply([x, input(1), fill(h.device, [], 1)], {}))) : undefined,
    ]
  },
})

export const crossEntropyOp = defineOp<None>({
  name: 'crossEntropy',
  inputTypes: ['f32', 'i32'],
  shape([logits, labels]) {
    checkLabels(logits as Tensor, labels as Tensor)
    return []
  },
  forward: (device, [logits, labels]) => {
    const [rows, columns] = (logits as Tensor).shape
    const { buffer } = labels as Tensor
    return kernels.crossEntropy(device, (logits as Tensor).buffer, buffer, rows as number, columns as number)
  },
  saves: [0, 1],
  vjp: ({ grad, input }) => [crossEntropyGradOp.apply([input(0), input(1), grad], {}), undefined],
})

/**
 * Mean over the batch of −log softmax(logits)[label], in nats. A label outside of 0…C−1 makes the result NaN.
 * @param logits [N, C]
 * @param labels i32 [N]
 * @returns a scalar
 */
export const crossEntropy = (logits: Tensor, labels: Tensor): Tensor => crossEntropyOp.apply([logits, labels], {})
