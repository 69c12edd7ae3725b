import { expect } from 'vitest'
import { grad, type Op, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import type { Case, InputSpec, Samples } from '../samples/types.ts'
import { type NdArray, ndarray, sizeOf } from './ndarray.ts'

/** A small generator for test data (mulberry32): uniform in [0, 1). */
export function uniform(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Draws an input; values are exact in f32. */
export function draw(spec: InputSpec, random: () => number): NdArray {
  const { low = -2, high = 2 } = spec
  if (spec.dtype === 'i32') return ndarray(spec.shape, () => Math.floor(low + random() * (high - low)))
  if (spec.distinct) {
    const count = sizeOf(spec.shape)
    const order = Array.from({ length: count }, (_, i) => i).sort(() => random() - 0.5)
    return ndarray(spec.shape, (i) => Math.fround((order[i]! - count / 2) * 0.1 + random() * 0.04))
  }
  return ndarray(spec.shape, () => {
    let v = low + random() * (high - low)
    for (const kink of spec.avoid ?? []) if (Math.abs(v - kink) < 0.05) v = kink + (v < kink ? -0.05 : 0.05)
    return spec.dtype === 'f16' ? Math.round(v * 512) / 512 : Math.fround(v)
  })
}

const toTensor = (device: Device, x: NdArray, spec: InputSpec, requiresGrad: boolean): Tensor =>
  spec.dtype === 'i32'
    ? tensor(device, Int32Array.from(x.data), { shape: x.shape })
    : tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad, dtype: spec.dtype ?? 'f32' })

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

const maxAbs = (x: ArrayLike<number>): number => {
  let most = 0
  for (let i = 0; i < x.length; i++) most = Math.max(most, Math.abs(x[i]!))
  return most
}

/** Fails unless all elements agree within `tolerance` of the largest magnitude (at least 1e-6 absolute). */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string) {
  expect(actual.length, `${what}: length`).toBe(expected.length)
  const limit = tolerance * Math.max(maxAbs(expected), 0.1)
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!)
    if (!(error <= limit)) {
      expect.fail(`${what}: element ${i} is ${actual[i]}, expected ${expected[i]} (error ${error}, limit ${limit})`)
    }
  }
}

const lacks = <A>(device: Device, { needs }: Samples<A>) => needs !== undefined && !device.info.features.has(needs)

/** The op's forward pass against its float64 reference. */
export async function checkForward<A>(device: Device, op: Op<A>, samples: Samples<A>, c: Case<A>, seed: number) {
  const random = uniform(seed)
  const arrays = c.inputs.map((spec) => draw(spec, random))
  const expected = samples.reference(arrays, c.attrs)
  const apply = () =>
    scope(() =>
      op.apply(
        arrays.map((x, i) => toTensor(device, x, c.inputs[i]!, false)),
        c.attrs,
      ),
    )
  if (lacks(device, samples)) {
    expect(apply).toThrow(samples.needs)
    return
  }
  const y = apply()
  expect(y.shape, `${op.name}: shape`).toEqual([...expected.shape])
  const data = await y.read()
  y.dispose()
  expectClose(data, expected.data, samples.tolerance ?? 1e-5, op.name)
}

/**
 * First and second gradients against central differences of the float64 reference, along one random direction each:
 * with L(x) = ⟨w, f(x)⟩, checks ⟨∇L, v⟩ = dL/dv and ⟨∇⟨∇L, v⟩, u⟩ = d²L/dv du.
 */
export async function checkGradients<A>(device: Device, op: Op<A>, samples: Samples<A>, c: Case<A>, seed: number) {
  const order = samples.order ?? 2
  // An op that the adapter cannot run is refused by its forward pass.
  if (order === 0 || lacks(device, samples)) return
  const random = uniform(seed)
  const arrays = c.inputs.map((spec) => draw(spec, random))
  const differentiable = c.inputs.map((s) => (s.dtype ?? 'f32') === 'f32' && s.differentiable !== false)
  // The first gradient is taken of some inputs only (often of all): what it needs of the others must stay in the graph.
  const count = differentiable.filter(Boolean).length
  const only = random() < 0.5 ? Math.floor(random() * count) : undefined
  let ordinal = 0
  const targeted = differentiable.map((d) => d && (only === undefined || ordinal++ === only))
  const direction = (along: readonly boolean[]) =>
    arrays.map((x, i) => ndarray(x.shape, () => (along[i] ? Math.fround(random() * 2 - 1) : 0)))
  const v = direction(targeted)
  const u = direction(differentiable)
  const outShape = samples.reference(arrays, c.attrs).shape
  const w = ndarray(outShape, () => Math.fround(random() * 2 - 1))
  const loss = (alongV: number, alongU: number): number => {
    const moved = arrays.map((x, i) =>
      ndarray(x.shape, (j) => x.data[j]! + alongV * v[i]!.data[j]! + alongU * u[i]!.data[j]!),
    )
    return dot(samples.reference(moved, c.attrs).data, w.data)
  }
  const h = 1e-4
  const first = (loss(h, 0) - loss(-h, 0)) / (2 * h)
  const second = (loss(h, h) - loss(h, -h) - loss(-h, h) + loss(-h, -h)) / (4 * h * h)

  const results = scope(() => {
    const xs = arrays.map((x, i) => toTensor(device, x, c.inputs[i]!, differentiable[i]!))
    const leaves = xs.filter((_, i) => differentiable[i])
    const targets = xs.filter((_, i) => targeted[i])
    const along = (d: NdArray[], which: readonly boolean[]) =>
      d.filter((_, i) => which[i]).map((x) => tensor(device, Float32Array.from(x.data), { shape: x.shape }))
    const project = (gs: Tensor[], ds: Tensor[]) =>
      gs.map((g, i) => ops.sum(ops.mul(g, ds[i]!))).reduce((a, b) => ops.add(a, b))
    const y = op.apply(xs, c.attrs)
    const gradOutput = tensor(device, Float32Array.from(w.data), { shape: w.shape })
    const gs = grad(y, targets, { gradOutput, createGraph: order === 2, allowUnused: true })
    const plain = order === 2 ? grad(op.apply(xs, c.attrs), targets, { gradOutput, allowUnused: true }) : gs
    const slope = project(gs, along(v, targeted))
    const curvature =
      order === 2 && slope.requiresGrad
        ? project(grad(slope, leaves, { allowUnused: true }), along(u, differentiable))
        : ops.fill(device, [], 0)
    return { slope, plainSlope: project(plain, along(v, targeted)), curvature, magnitudes: gs }
  })
  const slope = await results.slope.item()
  const plainSlope = await results.plainSlope.item()
  const curvature = await results.curvature.item()
  // Rounding errors scale with the sum of magnitudes, not with a projection that may cancel.
  const scale = Math.max(
    1e-2,
    ...(await Promise.all(
      results.magnitudes.map(async (g) => {
        const data = await g.read()
        return maxAbs(data) * Math.sqrt(data.length)
      }),
    )),
  )
  for (const t of [results.slope, results.plainSlope, results.curvature, ...results.magnitudes]) t.dispose()
  const tolerance = samples.gradTolerance ?? 2e-4
  const limit1 = tolerance * Math.max(Math.abs(first), scale)
  expect(Math.abs(slope - first), `${op.name}: first order (graph kept) ${slope}, expected ${first}`).toBeLessThan(
    limit1,
  )
  expect(Math.abs(plainSlope - first), `${op.name}: first order ${plainSlope}, expected ${first}`).toBeLessThan(limit1)
  if (order === 2) {
    const limit2 = tolerance * Math.max(Math.abs(second), scale) * 5
    expect(Math.abs(curvature - second), `${op.name}: second order ${curvature}, expected ${second}`).toBeLessThan(
      limit2,
    )
  }
}
