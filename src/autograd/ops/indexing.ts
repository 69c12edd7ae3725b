import { optionError, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp } from '../op.ts'
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'

export const gatherOp = defineOp<Record<never, never>>({
  name: 'gather',
  inputTypes: ['f32', 'i32'],
  shape([table, indices]) {
    const { shape } = table as Tensor
    if (shape.length === 0) throw shapeError('gather: the table is a scalar.', 'Give it a dimension of rows.')
    return [...(indices as Tensor).shape, ...shape.slice(1)]
  },
  forward: (device, [table, indices]) => {
    const [rows, ...row] = (table as Tensor).shape
    const { buffer, size } = indices as Tensor
    return kernels.gather(device, (table as Tensor).buffer, rows as number, sizeOf(row), buffer, size)
  },
  saves: [1],
  vjp: ({ grad, input, shapes: [table] }) => [scatterAdd(grad, input(1), (table as Shape)[0] as number), undefined],
})

/**
 * Rows of a table by index, as in an embedding. An index outside of 0…R−1 gives a row of NaN, and no gradient.
 * @param table [R, ...D]
 * @param indices i32 [...I]
 * @returns [...I, ...D]
 */
export const gather = (table: Tensor, indices: Tensor): Tensor => gatherOp.apply([table, indices], {})

export const scatterAddOp = defineOp<{ readonly rows: number }>({
  name: 'scatterAdd',
  inputTypes: ['f32', 'i32'],
  shape([x, indices], { rows }) {
    const { shape } = x as Tensor
    const { shape: indexShape } = indices as Tensor
    if (!sameShape(shape.slice(0, indexShape.length), indexShape)) {
      throw shapeError(
        `scatterAdd: x has shape ${formatShape(shape)}, which does not begin with the indices' ${formatShape(indexShape)}.`,
        'Give one row of x for each index.',
      )
    }
    checkCount('scatterAdd: rows', rows)
    return [rows, ...shape.slice(indexShape.length)]
  },
  forward: (device, [x, indices], { rows }, [, ...row]) => {
    const { buffer, size } = indices as Tensor
    return kernels.scatterAdd(device, (x as Tensor).buffer, buffer, size, rows, sizeOf(row))
  },
  saves: [1],
  vjp: ({ grad, input }) => [gather(grad, input(1)), undefined],
})

/**
 * Row r of the result is the sum of all rows of x whose index is r (added in their order, so that results repeat); zero
 * where there is none. The gradient of `gather`. Every index must lie in 0…rows−1: others add nothing, and get a
 * gradient of NaN.
 * @param x [...I, ...D]
 * @param indices i32 [...I]
 * @returns [rows, ...D]
 */
export const scatterAdd = (x: Tensor, indices: Tensor, rows: number): Tensor =>
  scatterAddOp.apply([x, indices], { rows })

export const oneHotOp = defineOp<{ readonly classes: number }>({
  name: 'oneHot',
  inputTypes: ['i32'],
  shape([indices], { classes }) {
    checkCount('oneHot: classes', classes)
    return [...(indices as Tensor).shape, classes]
  },
  forward: (device, [indices], { classes }) => {
    const { buffer, size } = indices as Tensor
    return kernels.oneHot(device, buffer, size, classes)
  },
  saves: [],
  vjp: { none: 'indices are integers' },
})

/**
 * 1 at each index, else 0; an index outside of 0…classes−1 gives zeros. No gradient.
 * @param indices i32 [...I]
 * @returns [...I, classes]
 */
export const oneHot = (indices: Tensor, classes: number): Tensor => oneHotOp.apply([indices], { classes })

function checkCount(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw optionError(`${what} is ${value}.`, 'Use an integer ≥ 1.')
}
