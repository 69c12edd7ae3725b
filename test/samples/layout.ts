import fc from 'fast-check'
import { ndarray, ravel, unravel } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { SamplesByOp } from './types.ts'

const withAxis = shapes()
  .filter((s) => s.length > 0)
  .chain((shape) => fc.tuple(fc.constant(shape), fc.nat(shape.length - 1)))

const size = fc.integer({ min: 1, max: 3 })

export const layout = {
  permute: {
    cases: fc.array(size, { maxLength: 6 }).chain((shape) => {
      const axes = shape.map((_, i) => i)
      return fc
        .shuffledSubarray(axes, { minLength: axes.length, maxLength: axes.length })
        .map((order) => ({ inputs: [{ shape }], attrs: { order } }))
    }),
    reference: ([x], { order }) => {
      const shape = order.map((axis) => x!.shape[axis]!)
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        const from = new Array<number>(order.length)
        order.forEach((axis, j) => {
          from[axis] = at[j]!
        })
        return x!.data[ravel(from, x!.shape)]!
      })
    },
  },
  slice: {
    cases: withAxis.chain(([shape, axis]) =>
      fc.tuple(fc.nat(shape[axis]! - 1), fc.integer({ min: 1, max: 5 })).map(([start, length]) => ({
        inputs: [{ shape }],
        attrs: { axis, start, end: Math.min(shape[axis]!, start + length) },
      })),
    ),
    reference: ([x], { axis, start, end }) => {
      const shape = x!.shape.map((d, i) => (i === axis ? end - start : d))
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        at[axis]! += start
        return x!.data[ravel(at, x!.shape)]!
      })
    },
  },
  pad: {
    // Up to six dimensions, so that some need two launches; crops leave at least one element.
    cases: fc
      .tuple(
        fc.array(fc.tuple(size, fc.integer({ min: -1, max: 2 }), fc.integer({ min: -1, max: 2 })), { maxLength: 6 }),
        fc.constantFrom(0, 1.5),
      )
      .map(([dims, value]) => {
        const padding = dims.map(([d, b, a]) => (d + b + a >= 1 && d + Math.min(a, b) >= 0 ? [b, a] : [0, 0]))
        return {
          inputs: [{ shape: dims.map(([d]) => d) }],
          attrs: { padding: padding as [number, number][], value },
        }
      }),
    reference: ([x], { padding, value }) => {
      const shape = x!.shape.map((d, i) => d + padding[i]![0] + padding[i]![1])
      return ndarray(shape, (i) => {
        const at = unravel(i, shape).map((j, axis) => j - padding[axis]![0])
        const inside = at.every((j, axis) => j >= 0 && j < x!.shape[axis]!)
        return inside ? x!.data[ravel(at, x!.shape)]! : value
      })
    },
  },
  flip: {
    cases: withAxis.map(([shape, axis]) => ({ inputs: [{ shape }], attrs: { axis } })),
    reference: ([x], { axis }) =>
      ndarray(x!.shape, (i) => {
        const at = unravel(i, x!.shape)
        at[axis] = x!.shape[axis]! - 1 - at[axis]!
        return x!.data[ravel(at, x!.shape)]!
      }),
  },
  concat: {
    // More than four inputs need more than one launch.
    cases: fc.tuple(withAxis, fc.array(size, { minLength: 2, maxLength: 6 })).map(([[shape, axis], sizes]) => ({
      inputs: sizes.map((joined) => ({ shape: shape.map((d, i) => (i === axis ? joined : d)) })),
      attrs: { axis },
    })),
    reference: (xs, { axis }) => {
      const joined = xs.reduce((n, x) => n + x.shape[axis]!, 0)
      const shape = xs[0]!.shape.map((d, i) => (i === axis ? joined : d))
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        let k = 0
        for (; at[axis]! >= xs[k]!.shape[axis]!; k++) at[axis]! -= xs[k]!.shape[axis]!
        return xs[k]!.data[ravel(at, xs[k]!.shape)]!
      })
    },
  },
} satisfies Partial<SamplesByOp>
