import fc from 'fast-check'
import { broadcastAt, broadcastShape, map, ndarray, unravel } from '../support/ndarray.ts'
import { broadcastPairs, shapes } from './shapes.ts'
import type { InputSpec, Samples, SamplesByOp } from './types.ts'

type Range = Omit<InputSpec, 'shape'>
type None = Record<never, never>

const unary = (f: (x: number) => number, range: Range = {}, extra: Partial<Samples<None>> = {}): Samples<None> => ({
  cases: shapes().map((shape) => ({ inputs: [{ shape, ...range }], attrs: {} })),
  reference: ([x]) => map(x!, f),
  ...extra,
})

const binary = (
  f: (x: number, y: number) => number,
  [rangeA, rangeB]: [Range, Range] = [{}, {}],
  extra: Partial<Samples<None>> = {},
): Samples<None> => ({
  cases: broadcastPairs.map(([a, b]) => ({
    inputs: [
      { shape: a, ...rangeA },
      { shape: b, ...rangeB },
    ],
    attrs: {},
  })),
  reference: ([a, b]) => {
    const shape = broadcastShape(a!.shape, b!.shape)
    return ndarray(shape, (i) => f(broadcastAt(a!, unravel(i, shape)), broadcastAt(b!, unravel(i, shape))))
  },
  ...extra,
})

/** Fused gradients take two inputs of one shape. */
const pair = <A>(f: (g: number, s: number, attrs: A) => number, attrs: A, range: Range = {}): Samples<A> => ({
  cases: shapes().map((shape) => ({ inputs: [{ shape }, { shape, ...range }], attrs })),
  reference: ([g, s], a) => ndarray(g!.shape, (i) => f(g!.data[i]!, s!.data[i]!, a)),
})

const positive = { low: 0.3, high: 3 }
const sigma = (x: number) => 1 / (1 + Math.exp(-x))

/** The error function by its Maclaurin series, exact in float64 for |x| < 4. */
function erf(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}
const Phi = (x: number) => 0.5 * (1 + erf(x / Math.SQRT2))
const phi = (x: number) => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI)

/** Two inputs that are never near each other: one below 0, one above, or the reverse. */
const apart: [Range, Range][] = [
  [
    { low: -2, high: -0.1 },
    { low: 0.1, high: 2 },
  ],
  [
    { low: 0.1, high: 2 },
    { low: -2, high: -0.1 },
  ],
]
const ordered = (f: (x: number, y: number) => number, order: 0 | 2): Samples<None> => {
  const [below, above] = apart.map((ranges) => binary(f, ranges))
  return { ...below!, cases: fc.oneof(below!.cases, above!.cases), order }
}

export const elementwise = {
  affine: {
    cases: fc.tuple(shapes(), fc.constantFrom(-1.5, 0, 1, 2.25), fc.constantFrom(-1, 0, 3)).map(([shape, p, q]) => ({
      inputs: [{ shape }],
      attrs: { p, q },
    })),
    reference: ([x], { p, q }) => map(x!, (v) => p * v + q),
  },
  add: binary((x, y) => x + y),
  sub: binary((x, y) => x - y),
  mul: binary((x, y) => x * y),
  div: binary((x, y) => x / y, [{}, positive]),
  square: unary((x) => x * x),
  reciprocal: unary((x) => 1 / x, positive),
  exp: unary(Math.exp),
  log: unary(Math.log, positive),
  sqrt: unary(Math.sqrt, positive),
  rsqrt: unary((x) => 1 / Math.sqrt(x), positive),
  pow: {
    cases: fc.tuple(shapes(), fc.constantFrom(-1.5, 0.5, 3)).map(([shape, exponent]) => ({
      inputs: [{ shape, ...positive }],
      attrs: { exponent },
    })),
    reference: ([x], { exponent }) => map(x!, (v) => v ** exponent),
    tolerance: 3e-5, // pow is exp2(y·log2 x) on every adapter
  },
  sign: unary(Math.sign, { avoid: [0] }, { order: 0 }),
  floor: unary(Math.floor, { avoid: [-2, -1, 0, 1, 2] }, { order: 0 }),
  abs: unary(Math.abs, { avoid: [0] }),
  relu: unary((x) => Math.max(x, 0), { avoid: [0] }),
  clamp: {
    cases: shapes().map((shape) => ({ inputs: [{ shape, avoid: [-1, 0.5] }], attrs: { min: -1, max: 0.5 } })),
    reference: ([x], { min, max }) => map(x!, (v) => Math.min(Math.max(v, min), max)),
  },
  absGrad: pair((g, x) => g * Math.sign(x), {}, { avoid: [0] }),
  reluGrad: pair((g, y) => (y > 0 ? g : 0), {}, { avoid: [0] }),
  clampGrad: pair<{ p?: number; q?: number }>(
    (g, x, { p, q }) => (x >= p! && x <= q! ? g : 0),
    { p: -1, q: 0.5 },
    { avoid: [-1, 0.5] },
  ),
  sigmoid: unary(sigma),
  tanh: unary(Math.tanh),
  silu: unary((x) => x * sigma(x)),
  gelu: unary((x) => x * Phi(x)),
  sigmoidGrad: pair((g, s) => g * s * (1 - s), {}),
  tanhGrad: pair((g, s) => g * (1 - s * s), {}),
  siluGrad: pair((g, x) => g * sigma(x) * (1 + x * (1 - sigma(x))), {}),
  geluGrad: pair((g, x) => g * (Phi(x) + x * phi(x)), {}),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  maximum: ordered(Math.max, 2),
  minimum: ordered(Math.min, 2),
  greater: ordered((x, y) => (x > y ? 1 : 0), 0),
  greaterEqual: ordered((x, y) => (x >= y ? 1 : 0), 0),
  equal: ordered((x, y) => (x === y ? 1 : 0), 0),
  select: {
    cases: broadcastPairs.map(([a, b]) => ({
      inputs: [
        { shape: a, low: 0, high: 2, dtype: 'f32' as const, avoid: [0], differentiable: false },
        { shape: b },
        { shape: a },
      ],
      attrs: {},
    })),
    reference: ([c, a, b]) => {
      const shape = broadcastShape(c!.shape, a!.shape, b!.shape)
      return ndarray(shape, (i) => {
        const at = unravel(i, shape)
        return broadcastAt(c!, at) !== 0 ? broadcastAt(a!, at) : broadcastAt(b!, at)
      })
    },
  },
} satisfies Partial<SamplesByOp>
