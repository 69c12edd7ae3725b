import fc from 'fast-check'
import { ndarray, ravel, unravel } from '../support/ndarray.ts'
import type { SamplesByOp } from './types.ts'

// 3 and 4 channels have variants of their own.
const sizes = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.constantFrom(1, 3, 4, 6),
  h: fc.integer({ min: 1, max: 5 }),
  w: fc.integer({ min: 1, max: 5 }),
  k: fc.constantFrom(1, 2, 37),
})

export const quantize = {
  nearestCode: {
    cases: sizes.map(({ n, c, h, w, k }) => ({ inputs: [{ shape: [n, c, h, w] }, { shape: [k, c] }], attrs: {} })),
    reference: ([z, codebook]) => {
      const [n, c, h, w] = z!.shape as [number, number, number, number]
      return ndarray([n, h, w], (i) => {
        const [sample, y, x] = unravel(i, [n, h, w]) as [number, number, number]
        let best = 0
        let least = Number.POSITIVE_INFINITY
        for (let k = 0; k < codebook!.shape[0]!; k++) {
          let distance = 0
          for (let j = 0; j < c; j++) {
            distance += (z!.data[ravel([sample, j, y, x], z!.shape)]! - codebook!.data[k * c + j]!) ** 2
          }
          if (distance < least) [least, best] = [distance, k]
        }
        return best
      })
    },
    order: 0,
  },
  straightThrough: {
    cases: sizes.map(({ n, c, h, w, k }) => ({
      inputs: [
        { shape: [n, c, h, w] },
        { shape: [k, c] },
        { shape: [n, h, w], dtype: 'i32' as const, low: 0, high: k },
      ],
      attrs: {},
    })),
    reference: ([z, codebook, indices]) => {
      const [, c] = z!.shape as [number, number]
      return ndarray(z!.shape, (i) => {
        const [sample, j, y, x] = unravel(i, z!.shape) as [number, number, number, number]
        return codebook!.data[indices!.data[ravel([sample, y, x], indices!.shape)]! * c + j]!
      })
    },
    // The gradient is not that of the function, on purpose: test/autograd/quantize.test.ts.
    order: 0,
  },
} satisfies Partial<SamplesByOp>
