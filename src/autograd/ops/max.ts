import { shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import { formatShape, normalizeAxis, type Shape, sameShape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { reshape } from './reshape.ts'
import { keepsDims, type ReduceOptions } from './sum.ts'

export interface AxisAttrs {
  /** 0 to rank − 1. */
  readonly axis: number
}

/** x seen as [outer, reduced, inner] around one dimension. */
const around = (shape: Shape, axis: number): [number, number, number] => [
  sizeOf(shape.slice(0, axis)),
  shape[axis] as number,
  sizeOf(shape.slice(axis + 1)),
]

const without = (shape: Shape, axis: number): number[] => shape.filter((_, i) => i !== axis)

export const argmaxOp = defineOp<AxisAttrs>({
  name: 'argmax',
  dtype: 'i32',
  shape([x], { axis }) {
    const { shape } = x as Tensor
    if (sizeOf(shape) === 0) {
      throw shapeError(`argmax: the input of shape ${formatShape(shape)} is empty.`, 'Pass at least one element.')
    }
    return without(shape, axis)
  },
  forward: (device, [x], { axis }) =>
    kernels.argmax(device, (x as Tensor).buffer, ...around((x as Tensor).shape, axis)),
  saves: [],
  vjp: { none: 'the result is an integer' },
})

/** Index (i32) of the largest element along one dimension, which is left out; the first of equals. No gradient. */
export const argmax = (x: Tensor, axis: number): Tensor =>
  argmaxOp.apply([x], { axis: normalizeAxis('argmax', axis, x.rank) })

function checkIndices(where: string, indices: Tensor, expected: Shape): void {
  if (!sameShape(indices.shape, expected)) {
    throw shapeError(
      `${where}: indices have shape ${formatShape(indices.shape)}, expected ${formatShape(expected)}.`,
      'Give one index for each place outside of the dimension that they count along.',
    )
  }
}

export const takeAlongAxisOp: Op<AxisAttrs> = defineOp<AxisAttrs>({
  name: 'takeAlongAxis',
  inputTypes: ['f32', 'i32'],
  shape([x, indices], { axis }) {
    const shape = without((x as Tensor).shape, axis)
    checkIndices('takeAlongAxis', indices as Tensor, shape)
    return shape
  },
  forward: (device, [x, indices], { axis }) => {
    const { buffer, shape } = x as Tensor
    return kernels.gatherAxis(device, buffer, (indices as Tensor).buffer, ...around(shape, axis))
  },
  saves: [1],
  vjp: ({ grad, input, attrs: { axis }, shapes: [shape] }) => [
    putAlongAxisOp.apply([grad, input(1)], { axis, size: (shape as Shape)[axis] as number }),
    undefined,
  ],
})

export const putAlongAxisOp: Op<AxisAttrs & { readonly size: number }> = defineOp<
  AxisAttrs & { readonly size: number }
>({
  name: 'putAlongAxis',
  inputTypes: ['f32', 'i32'],
  shape([x, indices], { axis, size }) {
    const { shape } = x as Tensor
    checkIndices('putAlongAxis', indices as Tensor, shape)
    return [...shape.slice(0, axis), size, ...shape.slice(axis)]
  },
  forward: (device, [x, indices], { axis }, outShape) => {
    const { buffer } = x as Tensor
    return kernels.scatterAxis(device, buffer, (indices as Tensor).buffer, ...around(outShape, axis))
  },
  saves: [1],
  vjp: ({ grad, input, attrs: { axis } }) => [takeAlongAxisOp.apply([grad, input(1)], { axis }), undefined],
})

/**
 * For each place outside of dimension `axis`, the element at its index along that dimension, which is left out. An
 * index out of range gives NaN, and no gradient.
 * @param indices i32, x's shape without `axis`
 */
export const takeAlongAxis = (x: Tensor, indices: Tensor, axis: number): Tensor =>
  takeAlongAxisOp.apply([x, indices], { axis: normalizeAxis('takeAlongAxis', axis, x.rank) })

/** Largest element along one dimension; of equal ones, the first gets the gradient. */
export function max(x: Tensor, axis: number, options: ReduceOptions = {}): Tensor {
  const keepDims = keepsDims('max', options)
  const resolved = normalizeAxis('max', axis, x.rank)
  const result = takeAlongAxis(x, argmax(x, resolved), resolved)
  return keepDims
    ? reshape(
        result,
        x.shape.map((d, i) => (i === resolved ? 1 : d)),
      )
    : result
}
