import type { Tensor } from '../tensor.ts'
import { affine, mul } from './arithmetic.ts'
import { defineBinary } from './define.ts'

/** Where both are equal, the gradient goes to the first input. */
export const maximumOp = defineBinary('maximum', 'MAXIMUM', [0, 1], ({ grad, input }) => {
  const first = greaterEqual(input(0), input(1))
  return [mul(grad, first), mul(grad, affine(first, -1, 1))]
})
export const minimumOp = defineBinary('minimum', 'MINIMUM', [0, 1], ({ grad, input }) => {
  const first = greaterEqual(input(1), input(0))
  return [mul(grad, first), mul(grad, affine(first, -1, 1))]
})

const STEP = { none: 'a comparison is constant almost everywhere' }
export const greaterOp = defineBinary('greater', 'GREATER', [], STEP)
export const greaterEqualOp = defineBinary('greaterEqual', 'GREATER_EQUAL', [], STEP)
export const equalOp = defineBinary('equal', 'EQUAL', [], STEP)

/** The larger of both, elementwise with broadcasting. */
export const maximum = (a: Tensor, b: Tensor): Tensor => maximumOp.apply([a, b], {})
/** The smaller of both, elementwise with broadcasting. */
export const minimum = (a: Tensor, b: Tensor): Tensor => minimumOp.apply([a, b], {})
/** 1 where a > b, else 0. No gradient. */
export const greater = (a: Tensor, b: Tensor): Tensor => greaterOp.apply([a, b], {})
/** 1 where a ≥ b, else 0. No gradient. */
export const greaterEqual = (a: Tensor, b: Tensor): Tensor => greaterEqualOp.apply([a, b], {})
/** 1 where a = b, else 0. No gradient. */
export const equal = (a: Tensor, b: Tensor): Tensor => equalOp.apply([a, b], {})
