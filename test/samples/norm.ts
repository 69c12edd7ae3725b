import fc from 'fast-check'
import { type NdArray, ndarray } from '../support/ndarray.ts'
import type { Case, InputSpec, SamplesByOp } from './types.ts'

interface Attrs {
  readonly groups: number
  readonly eps: number
  readonly activation: 'none' | 'silu' | 'relu'
}

const sigma = (x: number) => 1 / (1 + Math.exp(-x))

interface Activation {
  f(z: number): number
  slope(z: number): number
  curvature(z: number): number
}

const activations: Readonly<Record<Attrs['activation'], Activation>> = {
  none: { f: (z) => z, slope: () => 1, curvature: () => 0 },
  silu: {
    f: (z) => z * sigma(z),
    slope: (z) => sigma(z) * (1 + z * (1 - sigma(z))),
    curvature: (z) => sigma(z) * (1 - sigma(z)) * (2 + z * (1 - 2 * sigma(z))),
  },
  relu: { f: (z) => Math.max(z, 0), slope: (z) => (z > 0 ? 1 : 0), curvature: () => 0 },
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

type Input = 'x' | 'weight' | 'bias'
interface GradAttrs extends Attrs {
  readonly of: readonly Input[]
  readonly residual?: true
}

/** What the gradients are made of, element by element: x̂ by the statistics given, z and weight·(what follows). */
function parts(x: NdArray, weight: NdArray | undefined, bias: NdArray | undefined, stats: NdArray, { groups }: Attrs) {
  const { list, channelOf } = groupsOf(x.shape, groups)
  const each = stats.shape[1]!
  const normalised = ndarray(x.shape, () => 0)
  list.forEach((indices, k) => {
    for (const i of indices) normalised.data[i] = (x.data[i]! - stats.data[each * k]!) * stats.data[each * k + 1]!
  })
  const scale = (i: number) => weight?.data[channelOf(i)] ?? 1
  const z = ndarray(x.shape, (i) => normalised.data[i]! * scale(i) + (bias?.data[channelOf(i)] ?? 0))
  return { list, channelOf, normalised, z, scale, r: list.map((_, k) => stats.data[each * k + 1]!) }
}

/** r·(y − mean(y) − x̂·mean(y·x̂)), group by group. */
function project(y: NdArray, { list, normalised, r }: ReturnType<typeof parts>): NdArray {
  const out = ndarray(y.shape, () => 0)
  list.forEach((indices, k) => {
    const level = average(indices, (i) => y.data[i]!)
    const along = average(indices, (i) => y.data[i]! * normalised.data[i]!)
    for (const i of indices) out.data[i] = r[k]! * (y.data[i]! - level - normalised.data[i]! * along)
  })
  return out
}

/** Sums of f over everything but the channel. */
function byChannel(x: NdArray, { channelOf }: ReturnType<typeof parts>, f: (i: number) => number): NdArray {
  const out = ndarray([x.shape[1]!], () => 0)
  x.data.forEach((_, i) => {
    out.data[channelOf(i)]! += f(i)
  })
  return out
}

function groupNormGrad(inputs: readonly NdArray[], attrs: GradAttrs): NdArray {
  if (attrs.residual) {
    const { residual: _, ...plain } = attrs
    const gradient = groupNormGrad(inputs.slice(0, -1), plain)
    return ndarray(gradient.shape, (i) => gradient.data[i]! + inputs.at(-1)!.data[i]!)
  }
  const [g, x, stats, weight, bias] = inputs
  const p = parts(x!, weight, bias, stats!, attrs)
  const e = ndarray(g!.shape, (i) => g!.data[i]! * activations[attrs.activation].slope(p.z.data[i]!))
  switch (attrs.of[0]!) {
    case 'x':
      return project(
        ndarray(g!.shape, (i) => e.data[i]! * p.scale(i)),
        p,
      )
    case 'weight':
      return byChannel(x!, p, (i) => e.data[i]! * p.normalised.data[i]!)
    case 'bias':
      return byChannel(x!, p, (i) => e.data[i]!)
  }
}

/** The derivative of z along the direction, with that of x̂ alone. The moments of u are inputs of their own. */
function tangents(u: NdArray, moments: NdArray, directions: NdArray, p: ReturnType<typeof parts>) {
  const channels = directions.shape[0]! / 2
  const ofX = ndarray(u.shape, () => 0)
  p.list.forEach((indices, k) => {
    const [level, along] = [moments.data[4 * k + 2]!, moments.data[4 * k + 3]!]
    for (const i of indices) ofX.data[i] = p.r[k]! * (u.data[i]! - level - p.normalised.data[i]! * along)
  })
  const q = ndarray(u.shape, (i) => {
    const c = p.channelOf(i)
    return p.scale(i) * ofX.data[i]! + p.normalised.data[i]! * directions.data[c]! + directions.data[channels + c]!
  })
  return { ofX, q }
}

function groupNormTangent(inputs: readonly NdArray[], attrs: Attrs): NdArray {
  const [u, x, moments, directions, weight, bias] = inputs as [NdArray, NdArray, NdArray, NdArray, ...NdArray[]]
  const p = parts(x, weight, bias, moments, attrs)
  const { q } = tangents(u, moments, directions, p)
  return ndarray(x.shape, (i) => activations[attrs.activation].slope(p.z.data[i]!) * q.data[i]!)
}

function groupNormSecondGrad(inputs: readonly NdArray[], attrs: GradAttrs): NdArray {
  const [u, g, x, moments, directions, weight, bias] = inputs as [
    NdArray,
    NdArray,
    NdArray,
    NdArray,
    NdArray,
    ...NdArray[],
  ]
  const { slope, curvature } = activations[attrs.activation]
  const p = parts(x, weight, bias, moments, attrs)
  const { ofX, q } = tangents(u, moments, directions, p)
  const e = ndarray(x.shape, (i) => g.data[i]! * slope(p.z.data[i]!))
  const curved = ndarray(x.shape, (i) => g.data[i]! * curvature(p.z.data[i]!) * q.data[i]!)
  if (attrs.of[0] === 'bias') return byChannel(x, p, (i) => curved.data[i]!)
  if (attrs.of[0] === 'weight') {
    return byChannel(x, p, (i) => e.data[i]! * ofX.data[i]! + curved.data[i]! * p.normalised.data[i]!)
  }
  const h = ndarray(x.shape, (i) => e.data[i]! * p.scale(i))
  const k = ndarray(x.shape, (i) => e.data[i]! * directions.data[p.channelOf(i)]! + curved.data[i]! * p.scale(i))
  const out = project(k, p)
  const projectedH = project(h, p)
  p.list.forEach((indices, n) => {
    const [r, meanU, a] = [p.r[n]!, moments.data[4 * n + 2]!, moments.data[4 * n + 3]!]
    const meanH = average(indices, (i) => h.data[i]!)
    const b = average(indices, (i) => h.data[i]! * p.normalised.data[i]!)
    const joint = average(indices, (i) => u.data[i]! * h.data[i]!) - meanU * meanH - a * b
    for (const i of indices) {
      out.data[i]! -= r * (r * p.normalised.data[i]! * joint + b * ofX.data[i]! + a * projectedH.data[i]!)
    }
  })
  return out
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
/** Statistics, or moments, of every group. */
const statsSpec = (rows: number, each: 2 | 4): InputSpec => ({ shape: [rows, each], low: 0.2, high: 1 })

/** Cases of a gradient op: inputs before weight and bias by the shape of x, and the attributes. */
const gradientCases = (before: (shape: number[], groups: number) => InputSpec[]): fc.Arbitrary<Case<Attrs>> =>
  fc
    .tuple(shapesGroupsAndParams, fc.constantFrom<Attrs['activation']>('none', 'silu', 'relu'))
    .map(([[{ shape, groups }, params], activation]) => ({
      inputs: [...before(shape, groups), ...learned(shape[1]!, params)],
      attrs: { groups, eps, activation },
    }))

const withOutput = (cases: fc.Arbitrary<Case<Attrs>>): fc.Arbitrary<Case<GradAttrs>> =>
  fc
    .tuple(cases, fc.constantFrom<Input>('x', 'weight', 'bias'))
    .map(([{ inputs, attrs }, of]) => ({ inputs, attrs: { ...attrs, of: [of] } }))

const secondOrder = (shape: number[], groups: number): InputSpec[] => [
  { shape },
  statsSpec(shape[0]! * groups, 4),
  { shape: [2 * shape[1]!] },
]

// The gradients take statistics of x, and of u, as inputs, which a sample draws on their own and no finite difference in
// x moves: forward only. Their gradients are those of groupNorm at second order, and at third in
// test/autograd/norm.test.ts.
const ORDER = 0

export const norm = {
  groupNorm: {
    cases: shapesGroupsAndParams.map(([{ shape, groups }, params, activation]) => ({
      inputs: [{ shape }, ...learned(shape[1]!, params)],
      attrs: { groups, eps, activation },
    })),
    reference: groupNorm,
  },
  groupNormGrad: {
    cases: fc
      .tuple(
        withOutput(gradientCases((shape, groups) => [{ shape }, { shape }, statsSpec(shape[0]! * groups, 2)])),
        fc.boolean(),
      )
      .map(([c, residual]) =>
        residual && c.attrs.of[0] === 'x'
          ? { inputs: [...c.inputs, c.inputs[0]!], attrs: { ...c.attrs, residual: true as const } }
          : c,
      ),
    reference: groupNormGrad,
    order: ORDER,
  },
  groupNormTangent: {
    cases: gradientCases((shape, groups) => [{ shape }, ...secondOrder(shape, groups)]),
    reference: groupNormTangent,
    order: ORDER,
  },
  groupNormSecondGrad: {
    cases: withOutput(gradientCases((shape, groups) => [{ shape }, { shape }, ...secondOrder(shape, groups)])),
    reference: groupNormSecondGrad,
    order: ORDER,
  },
} satisfies Partial<SamplesByOp>
