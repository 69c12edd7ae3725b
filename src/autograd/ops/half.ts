import * as kernels from '../../kernels/index.ts'
import { defineOp } from '../op.ts'
import { checkDType, type Tensor } from '../tensor.ts'
import type { NoAttrs } from './define.ts'

/** Which of a product's operands are f16. */
export const halvesOf = (left: Tensor | undefined, right: Tensor | undefined): kernels.Halves => ({
  left: left?.dtype === 'f16',
  right: right?.dtype === 'f16',
})

export const toHalfOp = defineOp<NoAttrs>({
  name: 'toHalf',
  dtype: 'f16',
  shape([x]) {
    checkDType((x as Tensor).device, 'f16')
    return (x as Tensor).shape
  },
  forward: (device, [x]) => kernels.cast(device, (x as Tensor).buffer, (x as Tensor).size, true),
  saves: [],
  // Gradients are f32, also of what is stored in f16: that of the rounding is taken to be 1.
  vjp: ({ grad }) => [grad],
})

export const toFloatOp = defineOp<NoAttrs>({
  name: 'toFloat',
  inputTypes: ['f16'],
  shape: ([x]) => (x as Tensor).shape,
  forward: (device, [x]) => kernels.cast(device, (x as Tensor).buffer, (x as Tensor).size, false),
  saves: [],
  vjp: ({ grad }) => [grad],
})

/**
 * The elements of x (f32) in half precision: the nearest, ties to even, relative error ≤ 2⁻¹¹ from 2⁻¹⁴ on, absolute
 * ≤ 2⁻²⁵ below. Finite numbers beyond ±65,504 become ±65,504; infinities and NaN stay. The gradient passes unchanged, in
 * f32. What reads f16: conv2d, matmul and their gradients.
 * @throws Ld3mError `adapter` where the adapter has no half precision
 */
export const toHalf = (x: Tensor): Tensor => toHalfOp.apply([x], {})

/** The elements of x (f16) in f32, exactly. The gradient passes unchanged. */
export const toFloat = (x: Tensor): Tensor => toFloatOp.apply([x], {})
