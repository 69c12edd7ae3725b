import fc from 'fast-check'
import { ndarray } from '../support/ndarray.ts'
import type { SamplesByOp } from './types.ts'

export const attention = {
  attention: {
    cases: fc
      .record({
        batch: fc.integer({ min: 1, max: 2 }),
        // Tiles are of 16 rows and 32 columns.
        queries: fc.constantFrom(1, 3, 16, 35),
        keys: fc.constantFrom(1, 2, 17, 32, 40),
        depth: fc.constantFrom(1, 4, 7, 33),
        width: fc.constantFrom(1, 5, 20),
        scale: fc.constantFrom(1, 0.35),
      })
      .map(({ batch, queries, keys, depth, width, scale }) => ({
        inputs: [
          { shape: [batch, queries, depth], low: -1, high: 1 },
          { shape: [batch, keys, depth], low: -1, high: 1 },
          { shape: [batch, keys, width] },
        ],
        attrs: { scale },
      })),
    reference: ([q, k, v], { scale }) => {
      const [batch, queries, depth] = q!.shape as [number, number, number]
      const [, keys, width] = v!.shape as [number, number, number]
      const out = ndarray([batch, queries, width], () => 0)
      for (let row = 0; row < batch * queries; row++) {
        const first = Math.floor(row / queries) * keys
        const scores = Array.from({ length: keys }, (_, j) => {
          let dot = 0
          for (let d = 0; d < depth; d++) dot += q!.data[row * depth + d]! * k!.data[(first + j) * depth + d]!
          return scale * dot
        })
        const highest = Math.max(...scores)
        const exps = scores.map((s) => Math.exp(s - highest))
        const total = exps.reduce((a, b) => a + b)
        for (let j = 0; j < keys; j++) {
          for (let d = 0; d < width; d++) {
            out.data[row * width + d]! += (exps[j]! / total) * v!.data[(first + j) * width + d]!
          }
        }
      }
      return out
    },
  },
} satisfies Partial<SamplesByOp>
