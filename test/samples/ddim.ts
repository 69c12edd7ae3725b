import fc from 'fast-check'
import { ndarray } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

export const ddim = {
  ddimCombine: {
    cases: fc.tuple(shapes(), fc.integer({ min: 1, max: 5 })).map(([shape, terms]) => ({
      inputs: Array.from({ length: terms }, () => ({ shape })),
      attrs: { coefficients: [0.7, -1.3, 0, 2.1, 0.4].slice(0, terms) },
    })),
    reference: (inputs, { coefficients }) =>
      ndarray(inputs[0]!.shape, (i) => inputs.reduce((sum, x, k) => sum + coefficients[k]! * x.data[i]!, 0)),
  },
} satisfies Partial<SamplesByOp>
