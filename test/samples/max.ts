import fc from 'fast-check'
import { ndarray, ravel, unravel } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

/** Shapes with a dimension to reduce; now and then a long one, shared by several lanes. */
const withAxis = fc.oneof(
  shapes()
    .filter((s) => s.length > 0)
    .chain((shape) => fc.tuple(fc.constant(shape), fc.nat(shape.length - 1))),
  fc.constantFrom<[number[], number]>([[3, 20], 1], [[2, 150], 1], [[70, 3], 0]),
)

const without = (shape: readonly number[], axis: number) => shape.filter((_, i) => i !== axis)
const insert = (at: readonly number[], axis: number, j: number) => [...at.slice(0, axis), j, ...at.slice(axis)]

export const max = {
  argmax: {
    cases: withAxis.map(([shape, axis]) => ({ inputs: [{ shape, distinct: true }], attrs: { axis } })),
    reference: ([x], { axis }) => {
      const shape = without(x!.shape, axis)
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        const value = (j: number) => x!.data[ravel(insert(at, axis, j), x!.shape)]!
        let best = 0
        for (let j = 1; j < x!.shape[axis]!; j++) if (value(j) > value(best)) best = j
        return best
      })
    },
    order: 0,
  },
  takeAlongAxis: {
    cases: withAxis.map(([shape, axis]) => ({
      inputs: [{ shape }, { shape: without(shape, axis), dtype: 'i32' as const, low: 0, high: shape[axis]! }],
      attrs: { axis },
    })),
    reference: ([x, indices], { axis }) =>
      ndarray(
        indices!.shape,
        (i) => x!.data[ravel(insert(unravel(i, indices!.shape), axis, indices!.data[i]!), x!.shape)]!,
      ),
  },
  putAlongAxis: {
    cases: withAxis.map(([shape, axis]) => ({
      inputs: [
        { shape: without(shape, axis) },
        { shape: without(shape, axis), dtype: 'i32' as const, low: 0, high: shape[axis]! },
      ],
      attrs: { axis, size: shape[axis]! },
    })),
    reference: ([x, indices], { axis, size }) => {
      const shape = insert(x!.shape, axis, size)
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        const from = ravel(without(at, axis), x!.shape)
        return indices!.data[from] === at[axis] ? x!.data[from]! : 0
      })
    },
  },
} satisfies Partial<SamplesByOp>
