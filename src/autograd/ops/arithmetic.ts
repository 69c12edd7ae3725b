import { expectNumber } from '../arguments.ts'
import { chain } from '../chain.ts'
import { defineOp, savesFactors } from '../op.ts'
import type { Tensor } from '../tensor.ts'
import { defineBinary, defineUnary } from './define.ts'

export const affineOp = defineOp<{ readonly p: number; readonly q: number }>({
  name: 'affine',
  shape: ([x]) => (x as Tensor).shape,
  forward: (device, inputs, { p, q }, shape) => chain(device, 'AFFINE', inputs, shape, p, q),
  saves: [],
  vjp: ({ grad, attrs }) => [attrs.p === 1 ? grad : affine(grad, attrs.p, 0)],
})

/** p·x + q for numbers p and q. */
export function affine(x: Tensor, p: number, q: number): Tensor {
  expectNumber('affine', 'p', p)
  expectNumber('affine', 'q', q)
  return affineOp.apply([x], { p, q })
}
/** p·x for a number p. */
export const scale = (x: Tensor, p: number): Tensor => affine(x, p, 0)
/** −x. */
export const neg = (x: Tensor): Tensor => affine(x, -1, 0)

export const addOp = defineBinary('add', 'ADD', [], ({ grad }) => [grad, grad])
export const subOp = defineBinary('sub', 'SUB', [], ({ grad, needs }) => [grad, needs[1] ? neg(grad) : undefined])
export const mulOp = defineBinary(
  'mul',
  'MUL',
  (_, needs) => savesFactors(needs),
  ({ grad, input, needs }) => [needs[0] ? mul(grad, input(1)) : undefined, needs[1] ? mul(grad, input(0)) : undefined],
)
export const divOp = defineBinary(
  'div',
  'DIV',
  (_, needs) => (needs[1] ? [0, 1] : [1]),
  ({ grad, input, needs }) => {
    const overB = div(grad, input(1))
    return [overB, needs[1] ? neg(mul(overB, div(input(0), input(1)))) : undefined]
  },
)

export const squareOp = defineUnary('square', 'SQUARE', 'input', ({ grad, input }) => [
  mul(grad, affine(input(0), 2, 0)),
])
export const reciprocalOp = defineUnary('reciprocal', 'RECIPROCAL', 'output', ({ grad, output }) => [
  mul(grad, neg(square(output()))),
])

/** a + b, elementwise with broadcasting; b may be a number. */
export const add = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === 'number' ? affine(a, 1, b) : addOp.apply([a, b], {})
/** a − b, elementwise with broadcasting; b may be a number. */
export const sub = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === 'number' ? affine(a, 1, -b) : subOp.apply([a, b], {})
/** a · b, elementwise with broadcasting; b may be a number. */
export const mul = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === 'number' ? affine(a, b, 0) : a === b ? square(a) : mulOp.apply([a, b], {})
/** a / b, elementwise with broadcasting; either may be a number. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof a === 'number') return affine(reciprocal(b as Tensor), a, 0)
  return typeof b === 'number' ? affine(a, 1 / b, 0) : divOp.apply([a, b], {})
}
/** x². */
export const square = (x: Tensor): Tensor => squareOp.apply([x], {})
/** 1/x, for x ≠ 0. */
export const reciprocal = (x: Tensor): Tensor => reciprocalOp.apply([x], {})
