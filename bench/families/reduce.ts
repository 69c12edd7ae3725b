import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

const SIZES = {
  full: [
    [1, 2 ** 20, 1],
    [4096, 256, 1],
    [64, 32, 1024],
    [1, 65_536, 32],
    [8, 100_003, 1],
    [1, 64, 64],
  ],
  quick: [
    [1, 50, 1],
    [2, 5, 3],
  ],
} as const

/** [outer, reduced, inner]: everything, rows, a middle dimension, columns, a few long rows, partial sums. */
const sums = rowsFor<readonly [outer: number, reduced: number, inner: number]>(SIZES, ([outer, reduced, inner]) => {
  const shape = `${outer}×${reduced}×${inner} → ${outer}×${inner}`
  const inputs = { x: floats(outer * reduced * inner) }
  return [
    row('reduce SUM', shape, inputs, (device, { x }) => kernels.reduce(device, x, outer, reduced, inner)),
    row('argmax', shape, inputs, (device, { x }) => kernels.argmax(device, x, outer, reduced, inner)),
  ]
})

export const reduce = family('reduce', sums)
