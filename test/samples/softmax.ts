import fc from 'fast-check'
import { type NdArray, ndarray } from '../support/ndarray.ts'
import { shapes } from './shapes.ts'
import type { Samples, SamplesByOp } from './types.ts'

type None = Record<never, never>

/** Rows of one to a few elements, and of many, shared by 8 and 64 lanes. */
const rows = fc.oneof(
  shapes().filter((s) => s.length > 0),
  fc.constantFrom([9, 20], [3, 130]),
)

/** Applies f to each row of the inputs. */
function byRow(xs: readonly NdArray[], f: (rows: Float64Array[]) => ArrayLike<number>): NdArray {
  const shape = xs[0]!.shape
  const columns = shape.at(-1)!
  const out = ndarray(shape, () => 0)
  for (let start = 0; start < out.data.length; start += columns) {
    out.data.set(f(xs.map((x) => x.data.slice(start, start + columns))) as Float64Array, start)
  }
  return out
}

const total = (row: Float64Array) => row.reduce((a, b) => a + b, 0)
const softmaxRow = (row: Float64Array) => {
  const most = Math.max(...row)
  const e = row.map((v) => Math.exp(v - most))
  const sum = total(e)
  return e.map((v) => v / sum)
}

// Logits far from 0 overflow exp unless the maximum is taken off.
const unary = (f: (row: Float64Array) => Float64Array): Samples<None> => ({
  cases: fc.tuple(rows, fc.constantFrom(0, 200)).map(([shape, offset]) => ({
    inputs: [{ shape, low: offset - 3, high: offset + 3 }],
    attrs: {},
  })),
  reference: (xs) => byRow(xs, ([x]) => f(x!)),
  // Near 200 the input itself is only known to 1.5e-5.
  tolerance: 3e-5,
})

const pair = (f: (g: Float64Array, y: Float64Array) => Float64Array, low: number, high: number): Samples<None> => ({
  cases: rows.map((shape) => ({ inputs: [{ shape }, { shape, low, high }], attrs: {} })),
  reference: (xs) => byRow(xs, ([g, y]) => f(g!, y!)),
})

export const softmax = {
  softmax: unary(softmaxRow),
  logSoftmax: unary((x) => {
    const most = Math.max(...x)
    const shift = most + Math.log(total(x.map((v) => Math.exp(v - most))))
    return x.map((v) => v - shift)
  }),
  softmaxGrad: pair(
    (g, y) => {
      const s = total(g.map((v, i) => v * y[i]!))
      return y.map((v, i) => v * (g[i]! - s))
    },
    0,
    1,
  ),
  logSoftmaxGrad: pair((g, y) => g.map((v, i) => v - Math.exp(y[i]!) * total(g)), -3, 0),
} satisfies Partial<SamplesByOp>
