import { optionError } from '../../errors.ts'
import type { BinaryFunction } from '../../kernels/index.ts'
import { expectNumber } from '../arguments.ts'
import { chain } from '../chain.ts'
import { defineOp, type Op } from '../op.ts'
import type { Tensor } from '../tensor.ts'
import { affine, mul, neg, reciprocal, square } from './arithmetic.ts'
import { defineUnary } from './define.ts'

/**
 * A fused first-order gradient g·f′(s), where s is the input (or, if f′ is easier told by it, the output) of f. It is
 * linear in g; `second` gives g·f″ for the gradient of the gradient with respect to s.
 */
function defineUnaryGrad(
  name: string,
  f: BinaryFunction,
  second: ((g: Tensor, s: Tensor, x: Tensor) => Tensor) | undefined,
): Op<{ readonly p?: number; readonly q?: number }> {
  const op: Op<{ readonly p?: number; readonly q?: number }> = defineOp<{ readonly p?: number; readonly q?: number }>({
    name,
    shape: ([g]) => (g as Tensor).shape,
    forward: (device, inputs, { p, q }, shape) => chain(device, f, inputs, shape, p, q),
    // g only for the gradient with respect to s.
    saves: (_, needs) => (second && needs[1] ? [0, 1] : [1]),
    vjp: ({ grad, input, needs, attrs }) => [
      needs[0] ? op.apply([grad, input(1)], attrs) : undefined,
      // Functions that are linear in pieces: the second derivative is zero.
      needs[1] ? (second ? second(grad, input(1), input(0)) : affine(input(1), 0, 0)) : undefined,
    ],
  })
  return op
}

// --- powers, exponentials -------------------------------------------------------------------------------------------

export const expOp = defineUnary('exp', 'EXP', 'output', ({ grad, output }) => [mul(grad, output())])
export const logOp = defineUnary('log', 'LOG', 'input', ({ grad, input }) => [mul(grad, reciprocal(input(0)))])
export const sqrtOp = defineUnary('sqrt', 'SQRT', 'output', ({ grad, output }) => [
  mul(grad, affine(reciprocal(output()), 0.5, 0)),
])
export const rsqrtOp = defineUnary('rsqrt', 'RSQRT', 'output', ({ grad, output }) => {
  const y = output()
  return [mul(grad, affine(mul(y, square(y)), -0.5, 0))]
})

export const powOp = defineOp<{ readonly exponent: number }>({
  name: 'pow',
  shape: ([x]) => (x as Tensor).shape,
  forward: (device, inputs, { exponent }, shape) => chain(device, 'POW', inputs, shape, exponent),
  saves: [0],
  vjp: ({ grad, input, attrs }) => [mul(grad, affine(pow(input(0), attrs.exponent - 1), attrs.exponent, 0))],
})

/** eˣ. */
export const exp = (x: Tensor): Tensor => expOp.apply([x], {})
/** ln x, for x > 0. */
export const log = (x: Tensor): Tensor => logOp.apply([x], {})
/** √x, for x ≥ 0; the gradient needs x > 0. */
export const sqrt = (x: Tensor): Tensor => sqrtOp.apply([x], {})
/** 1/√x, for x > 0. */
export const rsqrt = (x: Tensor): Tensor => rsqrtOp.apply([x], {})
/** x to a constant exponent, for x > 0. */
export function pow(x: Tensor, exponent: number): Tensor {
  expectNumber('pow', 'exponent', exponent)
  return powOp.apply([x], { exponent })
}

// --- pieces ---------------------------------------------------------------------------------------------------------

const STEP = { none: 'constant almost everywhere' }
export const signOp = defineUnary('sign', 'SIGN', 'nothing', STEP)
export const floorOp = defineUnary('floor', 'FLOOR', 'nothing', STEP)

export const absGradOp = defineUnaryGrad('absGrad', 'ABS_GRAD', undefined)
export const absOp = defineUnary('abs', 'ABS', 'input', ({ grad, input }) => [absGradOp.apply([grad, input(0)], {})])

export const reluGradOp = defineUnaryGrad('reluGrad', 'RELU_GRAD', undefined)
export const reluOp = defineUnary('relu', 'RELU', 'output', ({ grad, output }) => [
  reluGradOp.apply([grad, output().detach()], {}),
])

export const clampGradOp = defineUnaryGrad('clampGrad', 'CLAMP_GRAD', undefined)
export const clampOp = defineOp<{ readonly min: number; readonly max: number }>({
  name: 'clamp',
  shape: ([x]) => (x as Tensor).shape,
  forward: (device, inputs, { min, max }, shape) => chain(device, 'CLAMP', inputs, shape, min, max),
  saves: [0],
  vjp: ({ grad, input, attrs }) => [clampGradOp.apply([grad, input(0)], { p: attrs.min, q: attrs.max })],
})

/** −1, 0 or 1. No gradient. */
export const sign = (x: Tensor): Tensor => signOp.apply([x], {})
/** The largest integer ≤ x. No gradient. */
export const floor = (x: Tensor): Tensor => floorOp.apply([x], {})
/** |x|; the gradient at 0 is 0. */
export const abs = (x: Tensor): Tensor => absOp.apply([x], {})
/** max(x, 0); the gradient at 0 is 0. */
export const relu = (x: Tensor): Tensor => reluOp.apply([x], {})
/** x limited to [min, max]; no gradient outside. */
export function clamp(x: Tensor, min: number, max: number): Tensor {
  expectNumber('clamp', 'min', min)
  expectNumber('clamp', 'max', max)
  if (min > max) throw optionError(`clamp: min is ${min}, max is ${max}.`, 'Pass min ≤ max.')
  return clampOp.apply([x], { min, max })
}

// --- smooth activations ---------------------------------------------------------------------------------------------

/** s = σ(x) is the output: d(g·s·(1−s))/ds = g·(1−2s). */
export const sigmoidGradOp = defineUnaryGrad('sigmoidGrad', 'SIGMOID_GRAD', (h, s, g) =>
  mul(mul(h, g), affine(s, -2, 1)),
)
export const sigmoidOp = defineUnary('sigmoid', 'SIGMOID', 'output', ({ grad, output }) => [
  sigmoidGradOp.apply([grad, output()], {}),
])

/** s = tanh(x) is the output: d(g·(1−s²))/ds = −2·g·s. */
export const tanhGradOp = defineUnaryGrad('tanhGrad', 'TANH_GRAD', (h, s, g) => mul(mul(h, g), affine(s, -2, 0)))
export const tanhOp = defineUnary('tanh', 'TANH', 'output', ({ grad, output }) => [
  tanhGradOp.apply([grad, output()], {}),
])

/** silu″(x) = σ′·(2 + x·(1 − 2σ)). */
export const siluGradOp = defineUnaryGrad('siluGrad', 'SILU_GRAD', (h, x, g) => {
  const s = sigmoid(x)
  const slope = sigmoidGradOp.apply([mul(h, g), s], {})
  return mul(slope, affine(mul(x, affine(s, -2, 1)), 1, 2))
})
export const siluOp = defineUnary('silu', 'SILU', 'input', ({ grad, input }) => [
  siluGradOp.apply([grad, input(0)], {}),
])

/** gelu″(x) = (2 − x²)·φ(x), φ the standard normal density. */
export const geluGradOp = defineUnaryGrad('geluGrad', 'GELU_GRAD', (h, x, g) => {
  const squared = square(x)
  const density = affine(exp(affine(squared, -0.5, 0)), 1 / Math.sqrt(2 * Math.PI), 0)
  return mul(mul(h, g), mul(affine(squared, -1, 2), density))
})
export const geluOp = defineUnary('gelu', 'GELU', 'input', ({ grad, input }) => [
  geluGradOp.apply([grad, input(0)], {}),
])

export const sinOp = defineUnary('sin', 'SIN', 'input', ({ grad, input }) => [mul(grad, cos(input(0)))])
export const cosOp = defineUnary('cos', 'COS', 'input', ({ grad, input }) => [mul(grad, neg(sin(input(0))))])

/** 1/(1 + e⁻ˣ). */
export const sigmoid = (x: Tensor): Tensor => sigmoidOp.apply([x], {})
/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => tanhOp.apply([x], {})
/** x·σ(x), also called swish. */
export const silu = (x: Tensor): Tensor => siluOp.apply([x], {})
/** x·Φ(x) with the exact normal distribution function (to 1e-7), not the tanh form. */
export const gelu = (x: Tensor): Tensor => geluOp.apply([x], {})
/** Sine of x in radians, to 1e-7 for |x| up to about 10⁴; beyond, ever less: to 0.03 at 10⁶. */
export const sin = (x: Tensor): Tensor => sinOp.apply([x], {})
/** Cosine of x in radians, as exact as `sin`. */
export const cos = (x: Tensor): Tensor => cosOp.apply([x], {})
