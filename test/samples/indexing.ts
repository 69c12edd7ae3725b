import fc from 'fast-check'
import { ndarray, sizeOf } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

const count = fc.integer({ min: 1, max: 6 })

export const indexing = {
  gather: {
    cases: fc.tuple(count, shapes(2), shapes(2)).map(([rows, row, indices]) => ({
      inputs: [{ shape: [rows, ...row] }, { shape: indices, dtype: 'i32' as const, low: 0, high: rows }],
      attrs: {},
    })),
    reference: ([table, indices]) => {
      const row = table!.shape.slice(1)
      const inner = sizeOf(row)
      return ndarray(
        [...indices!.shape, ...row],
        (i) => table!.data[indices!.data[Math.floor(i / inner)]! * inner + (i % inner)]!,
      )
    },
  },
  scatterAdd: {
    cases: fc.tuple(count, shapes(2), shapes(2)).map(([rows, row, indices]) => ({
      inputs: [{ shape: [...indices, ...row] }, { shape: indices, dtype: 'i32' as const, low: 0, high: rows }],
      attrs: { rows },
    })),
    reference: ([x, indices], { rows }) => {
      const row = x!.shape.slice(indices!.shape.length)
      const inner = sizeOf(row)
      const out = ndarray([rows, ...row], () => 0)
      x!.data.forEach((v, i) => {
        out.data[indices!.data[Math.floor(i / inner)]! * inner + (i % inner)]! += v
      })
      return out
    },
  },
  oneHot: {
    // Some indices are out of range.
    cases: fc.tuple(shapes(3), count).map(([shape, classes]) => ({
      inputs: [{ shape, dtype: 'i32' as const, low: -1, high: classes + 1 }],
      attrs: { classes },
    })),
    reference: ([indices], { classes }) =>
      ndarray([...indices!.shape, classes], (i) => (indices!.data[Math.floor(i / classes)] === i % classes ? 1 : 0)),
    order: 0,
  },
} satisfies Partial<SamplesByOp>
