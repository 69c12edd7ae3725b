import fc from 'fast-check'
import { type NdArray, ndarray } from '../support/ndarray.ts'
import type { Case, InputSpec, SamplesByOp } from './types.ts'

interface Attrs {
  readonly groups: number
  readonly eps: number
  readonly activation: 'none' | 'silu' | 'relu'
}

const sigma = (x: number) => 1 / (1 + Math.exp(-x))

const activations: Readonly<Record<Attrs['activation'], { f(z: number): number; slope(z: number): number }>> = {
  none: { f: (z) => z, slope: () => 1 },
  silu: { f: (z) => z * sigma(z), slope: (z) => sigma(z) * (1 + z * (1 - sigma(z))) },
  relu: { f: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0) },
}

/** Calls `visit` with each group's element indices; a channel's number is `channelOf(index)`. */
function groupsOf(shape: readonly number[], groups: number) {
  const [samples, channels, ...spatial] = shape as [number, number, ...number[]]
  const inner = spatial.reduce((a, b) => a * b, 1)
  const size = (channels / groups) * inner
  return {
    list: Array.from({ length: samples * groups }, (_, g) => Array.from({ length: size }, (_, i) => g * size + i)),
    channelOf: (i: number) => Math.floor(i / inner) % channels,
  }
}

const average = (indices: readonly number[], f: (i: number) => number) =>
  indices.reduce((sum, i) => sum + f(i), 0) / indices.length

function groupNorm([x, weight, bias]: readonly NdArray[], { groups, eps, activation }: Attrs): NdArray {
  const { list, channelOf } = groupsOf(x!.shape, groups)
  const y = ndarray(x!.shape, () => 0)
  for (const indices of list) {
    const mu = average(indices, (i) => x!.data[i]!)
    const variance = average(indices, (i) => (x!.data[i]! - mu) ** 2)
    for (const i of indices) {
      const c = channelOf(i)
      const z = ((x!.data[i]! - mu) / Math.sqrt(variance + eps)) * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0)
      y.data[i] = activations[activation].f(z)
    }
  }
  return y
}

/** x̂ by the statistics given, and g before the activation and before the weight. */
function parts([g, x, stats, weight, bias]: readonly NdArray[], { groups, activation }: Attrs) {
  const { list, channelOf } = groupsOf(x!.shape, groups)
  const normalised = ndarray(x!.shape, () => 0)
  const inner = ndarray(x!.shape, () => 0)
  const r = list.map((_, k) => stats!.data[2 * k + 1]!)
  list.forEach((indices, k) => {
    for (const i of indices) {
      const c = channelOf(i)
      const v = (x!.data[i]! - stats!.data[2 * k]!) * r[k]!
      const z = v * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0)
      normalised.data[i] = v
      inner.data[i] = g!.data[i]! * activations[activation].slope(z)
    }
  })
  const h = ndarray(x!.shape, (i) => inner.data[i]! * (weight?.data[channelOf(i)] ?? 1))
  return { list, channelOf, normalised, inner, h, r }
}

const shapesAndGroups: fc.Arbitrary<{ shape: number[]; groups: number }> = fc
  .tuple(
    fc.integer({ min: 1, max: 3 }),
    fc.constantFrom(1, 2, 3, 4),
    fc.constantFrom(1, 2, 3),
    // Groups of many elements are shared by more invocations than small ones; multiples of four are taken by fours.
    fc.constantFrom<number[]>([], [7], [3, 5], [2, 2, 3], [5, 27], [8, 9]),
  )
  .map(([samples, perGroup, groups, spatial]) => ({ shape: [samples, perGroup * groups, ...spatial], groups }))
  // Two elements are normalised to ±1 whatever they are, and one to 0: the finite difference would see noise alone.
  .filter(({ shape, groups }) => shape.slice(1).reduce((a, b) => a * b, 1) / groups > 2)

const shapesGroupsAndParams = fc.tuple(
  shapesAndGroups,
  fc.constantFrom(0, 1, 2),
  // A finite difference cannot keep away from the kinks of relu: see norm.test.ts.
  fc.constantFrom<Attrs['activation']>('none', 'silu'),
)

const eps = 1e-3
const learned = (channels: number, count: number): InputSpec[] =>
  [
    { shape: [channels], low: 0.5, high: 1.5 },
    { shape: [channels], low: -1, high: 1 },
  ].slice(0, count)
const statsSpec = (samples: number, groups: number): InputSpec => ({ shape: [samples * groups, 2], low: 0.2, high: 1 })

const gradientCases = (activations: readonly Attrs['activation'][]): fc.Arbitrary<Case<Attrs>> =>
  fc.tuple(shapesGroupsAndParams, fc.constantFrom(...activations)).map(([[{ shape, groups }, params], activation]) => ({
    inputs: [{ shape }, { shape }, statsSpec(shape[0]!, groups), ...learned(shape[1]!, params)],
    attrs: { groups, eps, activation },
  }))

// The gradients take the statistics of x as an input, which a sample draws on their own and no finite difference in x
// moves: forward only. Their gradients are those of groupNorm at second order, and at third in test/autograd/norm.test.ts.
const ORDER = 0

export const norm = {
  groupNorm: {
    cases: shapesGroupsAndParams.map(([{ shape, groups }, params, activation]) => ({
      inputs: [{ shape }, ...learned(shape[1]!, params)],
      attrs: { groups, eps, activation },
    })),
    reference: groupNorm,
  },
  groupNormInputGrad: {
    cases: gradientCases(['none', 'silu', 'relu']),
    reference: (inputs, attrs) => {
      const { list, normalised, h, r } = parts(inputs, attrs)
      const out = ndarray(h.shape, () => 0)
      list.forEach((indices, k) => {
        const meanH = average(indices, (i) => h.data[i]!)
        const along = average(indices, (i) => h.data[i]! * normalised.data[i]!)
        for (const i of indices) out.data[i] = r[k]! * (h.data[i]! - meanH - normalised.data[i]! * along)
      })
      return out
    },
    order: ORDER,
  },
  groupNormWeightGrad: {
    cases: fc
      .tuple(gradientCases(['none', 'silu', 'relu']), fc.constantFrom('weight' as const, 'bias' as const))
      .map(([{ inputs, attrs }, of]) => ({ inputs, attrs: { ...attrs, of } })),
    reference: (inputs, attrs) => {
      const { channelOf, normalised, inner } = parts(inputs, attrs)
      const out = ndarray([inner.shape[1]!], () => 0)
      inner.data.forEach((v, i) => {
        out.data[channelOf(i)]! += attrs.of === 'bias' ? v : v * normalised.data[i]!
      })
      return out
    },
    order: ORDER,
  },
  groupNormSecondGrad: {
    cases: gradientCases(['none']).map(({ inputs: [g, x, stats, weight], attrs }) => ({
      inputs: [g!, g!, x!, stats!, ...(weight ? [weight] : [])],
      attrs,
    })),
    reference: ([u, ...inputs], attrs) => {
      const { list, normalised, h, r } = parts(inputs, attrs)
      const out = ndarray(h.shape, () => 0)
      list.forEach((indices, k) => {
        const mean = (f: (i: number) => number) => average(indices, f)
        const meanU = mean((i) => u!.data[i]!)
        const meanH = mean((i) => h.data[i]!)
        const a = mean((i) => u!.data[i]! * normalised.data[i]!)
        const b = mean((i) => h.data[i]! * normalised.data[i]!)
        const joint = mean((i) => u!.data[i]! * h.data[i]!) - meanU * meanH - a * b
        for (const i of indices) {
          const v = normalised.data[i]!
          const projectedU = u!.data[i]! - meanU - v * a
          const projectedH = h.data[i]! - meanH - v * b
          out.data[i] = -(r[k]! ** 2) * (v * joint + b * projectedU + a * projectedH)
        }
      })
      return out
    },
    order: ORDER,
  },
} satisfies Partial<SamplesByOp>
