import fc from 'fast-check'
import { broadcastAt, ndarray, ravel, sizeOf, unravel } from '../support/ndarray.ts'
import { broadcastPairs, shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

export const sum = {
  sum: {
    cases: shapes()
      .filter((s) => s.length > 0)
      .chain((shape) =>
        fc
          .tuple(
            fc.subarray(
              shape.map((_, i) => i),
              { minLength: 1 },
            ),
            fc.boolean(),
          )
          .map(([axes, keepDims]) => ({ inputs: [{ shape }], attrs: { axes, keepDims } })),
      ),
    reference: ([x], { axes, keepDims }) => {
      const kept = x!.shape.map((d, i) => (axes.includes(i) ? 1 : d))
      const data = new Float64Array(sizeOf(kept))
      x!.data.forEach((v, i) => {
        const at = unravel(i, x!.shape).map((j, axis) => (axes.includes(axis) ? 0 : j))
        data[ravel(at, kept)]! += v
      })
      return { shape: keepDims ? kept : kept.filter((_, i) => !axes.includes(i)), data }
    },
  },
  broadcastTo: {
    cases: broadcastPairs.map(([a, b]) => ({
      inputs: [{ shape: a }],
      attrs: {
        shape: Array.from({ length: Math.max(a.length, b.length) }, (_, j) => {
          const rank = Math.max(a.length, b.length)
          return Math.max(a[j - rank + a.length] ?? 1, b[j - rank + b.length] ?? 1)
        }),
      },
    })),
    reference: ([x], { shape }) => ndarray(shape, (i) => broadcastAt(x!, unravel(i, shape))),
  },
} satisfies Partial<SamplesByOp>
