import fc from 'fast-check'
import { ndarray } from '../support/ndarray.ts'
import type { SamplesByOp } from './types.ts'

/** Batches with few and many classes, among them rows shared by 8 and 64 lanes. */
const sizes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.constantFrom(1, 2, 3, 4, 5, 10, 40))

const softmaxRow = (row: Float64Array) => {
  const e = row.map((v) => Math.exp(v))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((v) => v / sum)
}

export const loss = {
  crossEntropy: {
    cases: sizes.map(([n, classes]) => ({
      inputs: [
        { shape: [n, classes], low: -4, high: 4 },
        { shape: [n], dtype: 'i32' as const, low: 0, high: classes },
      ],
      attrs: {},
    })),
    reference: ([x, labels]) => {
      const [n, classes] = x!.shape as [number, number]
      let sum = 0
      for (let i = 0; i < n; i++) {
        sum -= Math.log(softmaxRow(x!.data.slice(i * classes, (i + 1) * classes))[labels!.data[i]!]!)
      }
      return ndarray([], () => sum / n)
    },
  },
  crossEntropyGrad: {
    cases: sizes.map(([n, classes]) => ({
      inputs: [
        { shape: [n, classes], low: -4, high: 4 },
        { shape: [n], dtype: 'i32' as const, low: 0, high: classes },
        { shape: [] },
      ],
      attrs: {},
    })),
    reference: ([x, labels, g]) => {
      const [n, classes] = x!.shape as [number, number]
      return ndarray(x!.shape, (k) => {
        const i = Math.floor(k / classes)
        const p = softmaxRow(x!.data.slice(i * classes, (i + 1) * classes))
        return ((p[k % classes]! - (labels!.data[i] === k % classes ? 1 : 0)) * g!.data[0]!) / n
      })
    },
  },
} satisfies Partial<SamplesByOp>
