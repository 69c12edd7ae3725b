import fc from 'fast-check'
import { map } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

// What is rounded how, bit by bit, is checked in test/autograd/half.test.ts.
export const half = {
  toHalf: {
    needs: 'shader-f16',
    cases: shapes().map((shape) => ({ inputs: [{ shape }], attrs: {} })),
    reference: ([x]) => map(x!, (v) => v),
    // Half a unit in the last of 11 digits.
    tolerance: 2 ** -11,
  },
  toFloat: {
    needs: 'shader-f16',
    cases: fc
      .oneof(shapes(), fc.constantFrom([1], [3], [257]))
      .map((shape) => ({ inputs: [{ shape, dtype: 'f16' as const }], attrs: {} })),
    reference: ([x]) => map(x!, (v) => v),
    tolerance: 0,
    // No leaf is f16: the gradient is checked through toHalf, in test/autograd/half.test.ts.
    order: 0,
  },
} satisfies Partial<SamplesByOp>
