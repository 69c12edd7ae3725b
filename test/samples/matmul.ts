import fc from 'fast-check'
import { ndarray, sizeOf } from '../support/ndarray.ts'
import type { SamplesByOp } from './types.ts'

const size = fc.integer({ min: 1, max: 9 })

export const matmul = {
  matmul: {
    cases: fc
      .tuple(
        fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
        size,
        size,
        size,
        fc.boolean(),
        fc.boolean(),
        fc.boolean(),
      )
      .map(([batch, m, k, n, transposeA, transposeB, bias]) => ({
        inputs: [
          { shape: [...batch, ...(transposeA ? [k, m] : [m, k])] },
          { shape: [...batch, ...(transposeB ? [n, k] : [k, n])] },
          ...(bias ? [{ shape: [n] }] : []),
        ],
        attrs: { transposeA, transposeB },
      })),
    reference: ([a, b, bias], { transposeA, transposeB }) => {
      const batch = a!.shape.slice(0, -2)
      const [rows, cols] = a!.shape.slice(-2) as [number, number]
      const [m, k] = transposeA ? [cols, rows] : [rows, cols]
      const n = b!.shape.at(transposeB ? -2 : -1)!
      const out = ndarray([...batch, m, n], () => 0)
      for (let p = 0; p < sizeOf(batch); p++) {
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let sum = bias?.data[j] ?? 0
            for (let q = 0; q < k; q++) {
              const left = a!.data[p * m * k + (transposeA ? q * m + i : i * k + q)]!
              sum += left * b!.data[p * k * n + (transposeB ? j * k + q : q * n + j)]!
            }
            out.data[(p * m + i) * n + j] = sum
          }
        }
      }
      return out
    },
  },
} satisfies Partial<SamplesByOp>
