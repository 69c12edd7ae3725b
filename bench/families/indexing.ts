import * as kernels from '../../src/kernels/index.ts'
import { family, floats, integers, row, rowsFor } from '../harness.ts'

/** Rows of a table, as an embedding or a minibatch takes them, and the gradient of that. */
const rowsOfTable = rowsFor<readonly [rows: number, inner: number, taken: number]>(
  {
    full: [
      [1001, 512, 256],
      [100, 1024, 64],
      [512, 4, 4096],
      [10, 512, 4096],
    ],
    quick: [[5, 3, 4]],
  },
  ([rows, inner, taken]) => {
    const shape = `${taken} of ${rows}×${inner}`
    const indices = integers(taken, rows)
    return [
      row('gather', shape, { table: floats(rows * inner), indices }, (device, { table, indices }) =>
        kernels.gather(device, table, rows, inner, indices, taken),
      ),
      row('scatterAdd', shape, { x: floats(taken * inner), indices }, (device, { x, indices }) =>
        kernels.scatterAdd(device, x, indices, taken, rows, inner),
      ),
      row('oneHot', `${taken} of ${rows}`, { indices }, (device, { indices }) =>
        kernels.oneHot(device, indices, taken, rows),
      ),
    ]
  },
)

/** One element along a dimension, as the gradient of a maximum takes it. */
const alongAxis = rowsFor<readonly [outer: number, reduced: number, inner: number]>(
  { full: [[64, 32, 1024]], quick: [[2, 3, 4]] },
  ([outer, reduced, inner]) => {
    const shape = `${outer}×${reduced}×${inner}`
    const indices = integers(outer * inner, reduced)
    return [
      row('gatherAxis', shape, { x: floats(outer * reduced * inner), indices }, (device, { x, indices }) =>
        kernels.gatherAxis(device, x, indices, outer, reduced, inner),
      ),
      row('scatterAxis', shape, { x: floats(outer * inner), indices }, (device, { x, indices }) =>
        kernels.scatterAxis(device, x, indices, outer, reduced, inner),
      ),
    ]
  },
)

export const indexing = family('indexing', rowsOfTable, alongAxis)
