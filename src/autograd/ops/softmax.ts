import { shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import type { Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { mul, neg, sub } from './arithmetic.ts'
import { sum } from './sum.ts'
import { exp } from './unary.ts'

type None = Record<never, never>

/** A shape seen as [rows, columns]. */
function rowsOf(shape: Shape, size: number): [number, number] {
  const columns = shape.at(-1) as number
  return [size === 0 ? 0 : size / columns, columns]
}

function checkRank(where: string, { shape }: Tensor): Shape {
  if (shape.length === 0) throw shapeError(`${where}: the input is a scalar.`, 'It needs a last dimension.')
  return shape
}

/** Linear in g, with a symmetric matrix: its gradient with respect to g is itself. */
export const softmaxGradOp: Op<None> = defineOp<None>({
  name: 'softmaxGrad',
  shape: ([g]) => checkRank('softmaxGrad', g as Tensor),
  forward: (device, [g, y], _, shape) =>
    kernels.softmaxGrad(
      device,
      'SOFTMAX_GRAD',
      (g as Tensor).buffer,
      (y as Tensor).buffer,
      ...rowsOf(shape, (g as Tensor).size),
    ),
  saves: [0, 1],
  vjp: ({ grad: h, input, needs }) => {
    const y = input(1)
    if (!needs[1]) return [softmaxGradOp.apply([h, y], {}), undefined]
    const g = input(0)
    // d⟨h, y·(g − Σ g·y)⟩/dy = h·(g − Σ g·y) − g·Σ h·y
    const dy = sub(
      mul(h, sub(g, sum(mul(g, y), -1, { keepDims: true }))),
      mul(g, sum(mul(h, y), -1, { keepDims: true })),
    )
    return [needs[0] ? softmaxGradOp.apply([h, y], {}) : undefined, dy]
  },
})

export const softmaxOp = defineOp<None>({
  name: 'softmax',
  shape: ([x]) => checkRank('softmax', x as Tensor),
  forward: (device, [x], _, shape) =>
    kernels.softmax(device, 'SOFTMAX', (x as Tensor).buffer, ...rowsOf(shape, (x as Tensor).size)),
  saves: ['output'],
  vjp: ({ grad, output }) => [softmaxGradOp.apply([grad, output()], {})],
})

export const logSoftmaxGradOp = defineOp<None>({
  name: 'logSoftmaxGrad',
  shape: ([g]) => checkRank('logSoftmaxGrad', g as Tensor),
  forward: (device, [g, y], _, shape) =>
    kernels.softmaxGrad(
      device,
      'LOG_SOFTMAX_GRAD',
      (g as Tensor).buffer,
      (y as Tensor).buffer,
      ...rowsOf(shape, (g as Tensor).size),
    ),
  saves: [0, 1],
  vjp: ({ grad: h, input, needs }) => {
    // ⟨h, g − exp(y)·Σ g⟩
    const weighted = mul(h, exp(input(1)))
    return [
      needs[0] ? sub(h, sum(weighted, -1, { keepDims: true })) : undefined,
      needs[1] ? neg(mul(weighted, sum(input(0), -1, { keepDims: true }))) : undefined,
    ]
  },
})

export const logSoftmaxOp = defineOp<None>({
  name: 'logSoftmax',
  shape: ([x]) => checkRank('logSoftmax', x as Tensor),
  forward: (device, [x], _, shape) =>
    kernels.softmax(device, 'LOG_SOFTMAX', (x as Tensor).buffer, ...rowsOf(shape, (x as Tensor).size)),
  saves: ['output'],
  vjp: ({ grad, output }) => [logSoftmaxGradOp.apply([grad, output()], {})],
})

/** exp(x) / Σ exp(x) over the last dimension; the maximum is taken off first, so that nothing overflows. */
export const softmax = (x: Tensor): Tensor => softmaxOp.apply([x], {})
/** log softmax(x) over the last dimension, without the loss of small probabilities that log(softmax(x)) has. */
export const logSoftmax = (x: Tensor): Tensor => logSoftmaxOp.apply([x], {})
