import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Constants,
  type Device,
  type DeviceOptions,
  type GpuBuffer,
  kernels as registered,
} from '../../src/gpu/index.ts'
import * as kernels from '../../src/kernels/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { byCandidate, candidatesOf, expectSameBits, numbers, upload } from '../support/variants.ts'

// Tiles in workgroup memory, which are chosen on GPUs, run on this adapter. A test holds to few variants of a kernel, since
// each is seconds to compile, and draws sizes, which are params.

const devices: Device[] = []
async function open(options: DeviceOptions): Promise<Device> {
  const device = await openDevice({ tune: { share: 0 }, ...options })
  devices.push(device)
  return device
}
let device: Device
beforeAll(async () => {
  device = await open({ likeHardware: true })
})
afterAll(() => {
  for (const device of devices) device.destroy()
})

type Sizes = kernels.MatmulSizes

/** op(a) · op(b) in float64. */
function product(a: Float32Array, b: Float32Array, { batches, m, n, k, transposeA, transposeB }: Sizes): Float64Array {
  const out = new Float64Array(batches * m * n)
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < m; i++) {
      for (let l = 0; l < k; l++) {
        const x = a[batch * m * k + (transposeA ? l * m + i : i * k + l)]!
        const [start, step] = transposeB ? [l, k] : [l * n, 1]
        for (let j = 0; j < n; j++) out[(batch * m + i) * n + j]! += x * b[batch * k * n + start + j * step]!
      }
    }
  }
  return out
}

/** Runs the default tile that reads directly, and the staged one of that name; both must agree, to the bit. */
async function staged(count: number, name: string, launch: () => GpuBuffer): Promise<Float32Array> {
  const names = candidatesOf(device, launch)
  const direct = names.find((other) => !other.startsWith('staged'))
  const results = await byCandidate(device, count, launch, (other) => other === `staged ${name}` || other === direct)
  expectSameBits(results)
  return results.get(`staged ${name}`)!
}

describe('a product in workgroup memory has the bits of one without, and agrees with float64', () => {
  const between = (min: number, max: number) => fc.integer({ min, max })
  /** Rows of the tile lie along n, its columns along m. */
  test.each<[tile: string, transposeA: boolean, transposeB: boolean, m: fc.Arbitrary<number>, n: fc.Arbitrary<number>]>(
    [
      ['64×64', false, false, between(33, 130), between(9, 34).map((n) => 4 * n)],
      ['128×64', true, false, between(33, 130), between(33, 70).map((n) => 2 * n + 1)],
      ['128×128', false, true, between(65, 140), between(17, 40).map((n) => 4 * n)],
      ['128×32', true, true, between(17, 32), between(33, 100).map((n) => 2 * n + 1)],
    ],
  )('%s, transposed: %s, %s', async (tile, transposeA, transposeB, m, n) => {
    const shapes = fc.record({ batches: between(1, 2), m, n, k: between(16, 300) })
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { batches, m, n, k } = shape
        const sizes = { ...shape, transposeA, transposeB }
        const [a, b] = [numbers(batches * m * k, 1), numbers(batches * k * n, 2)]
        const buffers = [a, b].map((x) => upload(device, x)) as [GpuBuffer, GpuBuffer]
        const result = await staged(batches * m * n, tile, () => kernels.matmul(device, ...buffers, sizes))
        expectClose(result, product(a, b, sizes), 1e-5, JSON.stringify(sizes))
        for (const buffer of buffers) device.release(buffer)
      }),
      { numRuns: 8 },
    )
  })

  test('in parts that are added up where a view has no gaps', async () => {
    const [batches, m, n, k, start] = [2, 70, 32, 512, 8]
    const sizes = { batches, m, n, k, transposeA: false, transposeB: false }
    const [a, b] = [numbers(batches * m * k, 1), numbers(batches * k * n, 2)]
    const buffers = [a, b].map((x) => upload(device, x)) as [GpuBuffer, GpuBuffer]
    const count = batches * m * n
    const own = kernels.matmul(device, ...buffers, sizes)
    const buffer = upload(device, new Float32Array(count + 2 * start))
    const out = { buffer, start, stride: m * n }
    const { rows } = await device.profile(() => {
      kernels.matmul(device, ...buffers, sizes, {}, { views: { out } })
    })
    expect(rows.map(({ kernel }) => kernel.replace(/\[.*/, '')).sort()).toEqual(['gemm_join', 'matmul'])
    const [alone, placed] = [await device.read(own, 4 * count), await device.read(buffer, 4 * (count + 2 * start))]
    expect([...new Float32Array(placed)]).toEqual([
      ...new Float32Array(start),
      ...new Float32Array(alone),
      ...new Float32Array(start),
    ])
    expectClose(new Float32Array(alone), product(a, b, sizes), 1e-5, 'in parts')
    for (const buffer of [...buffers, own, out.buffer]) device.release(buffer)
  })

  test('with bias, residual and activation, of views, and written to a view', async () => {
    const [m, n, k, batches] = [40, 68, 30, 2]
    const sizes = { batches, m, n, k, transposeA: false, transposeB: false }
    const [a, b] = [numbers(1000 + batches * 2000, 1), numbers(batches * k * n, 2)]
    const [bias, residual] = [numbers(n, 3), numbers(batches * m * n, 4)]
    const buffers = [a, b, bias, residual].map((x) => upload(device, x)) as [GpuBuffer, GpuBuffer, GpuBuffer, GpuBuffer]
    const views = { a: { start: 1000, stride: 2000 } }
    const own = Float32Array.from(
      { length: batches * m * k },
      (_, i) => a[1000 + Math.floor(i / (m * k)) * 2000 + (i % (m * k))]!,
    )
    const expected = product(own, b, sizes)
    const epilogue = { bias: buffers[2], residual: buffers[3], activation: 'relu' as const }
    const result = await staged(batches * m * n, '64×64', () =>
      kernels.matmul(device, buffers[0], buffers[1], sizes, epilogue, { views }),
    )
    expectClose(
      result,
      expected.map((sum, i) => Math.max(0, sum + bias[i % n]! + residual[i]!)),
      1e-5,
      'epilogue',
    )
    const [start, stride, length] = [8, m * n + 12, 2 * (m * n + 12) + 8]
    const into = await staged(length, '64×64', () => {
      const buffer = upload(device, new Float32Array(length))
      return kernels.matmul(
        device,
        buffers[0],
        buffers[1],
        sizes,
        {},
        { views: { ...views, out: { buffer, start, stride } } },
      )
    })
    const placed = new Float64Array(length)
    for (let i = 0; i < batches * m * n; i++)
      placed[start + Math.floor(i / (m * n)) * stride + (i % (m * n))] = expected[i]!
    expectClose(into, placed, 1e-5, 'view')
    for (const buffer of buffers) device.release(buffer)
  })
})

interface ConvCase {
  readonly kernel: readonly [number, number]
  readonly stride: number
  /** Whether rows of the output are a multiple of four long. */
  readonly fours: boolean
  /** Tiles of the convolution, of its input gradient and of its weight gradient. */
  readonly tiles: readonly [string, string, string]
  readonly c: readonly [number, number]
  readonly o: readonly [number, number]
}

/** A convolution and its gradients with respect to its input (of grad) and its weight, in float64. */
function convolutions(x: Float32Array, weight: Float32Array, grad: Float32Array, sizes: kernels.Conv2dSizes) {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const forward = new Float64Array(grad.length)
  const ofInput = new Float64Array(x.length)
  const ofWeight = new Float64Array(weight.length)
  for (let i = 0; i < forward.length; i++) {
    const [ox, oy, channel, image] = [
      i % wo,
      Math.floor(i / wo) % ho,
      Math.floor(i / wo / ho) % o,
      Math.floor(i / wo / ho / o),
    ]
    for (let tap = 0; tap < c * kh * kw; tap++) {
      const [kx, ky, input] = [tap % kw, Math.floor(tap / kw) % kh, Math.floor(tap / kw / kh)]
      const [row, column] = [oy * stride + ky - top, ox * stride + kx - left]
      if (row < 0 || row >= h || column < 0 || column >= w) continue
      const at = ((image * c + input) * h + row) * w + column
      const own = channel * c * kh * kw + tap
      forward[i]! += x[at]! * weight[own]!
      ofInput[at]! += grad[i]! * weight[own]!
      ofWeight[own]! += grad[i]! * x[at]!
    }
  }
  expect(forward).toHaveLength(n * o * ho * wo)
  return { forward, ofInput, ofWeight }
}

describe('a convolution and its gradients in workgroup memory have the bits of those without, and agree with float64', () => {
  test.each<ConvCase>([
    { kernel: [3, 3], stride: 1, fours: true, tiles: ['64×64', '128×32', '64×64'], c: [17, 32], o: [33, 40] },
    { kernel: [1, 1], stride: 1, fours: false, tiles: ['128×64', '64×64', '64×64'], c: [33, 40], o: [37, 70] },
    { kernel: [5, 2], stride: 2, fours: false, tiles: ['128×64', '128×128', '128×128'], c: [17, 20], o: [65, 70] },
  ])('$kernel taps, stride $stride', async ({ kernel: [kh, kw], stride, fours, tiles, c, o }) => {
    const shapes = fc.record({
      ...{ n: fc.integer({ min: 3, max: 5 }), h: fc.integer({ min: 12, max: 14 }) },
      ...{ c: fc.integer({ min: c[0], max: c[1] }), o: fc.integer({ min: o[0], max: o[1] }) },
      ...{ wo: fours ? fc.constant(8) : fc.constantFrom(5, 6, 7), top: fc.integer({ min: 0, max: kh - 1 }) },
      left: fours ? fc.constant(kw - 1) : fc.integer({ min: 0, max: kw - 1 }),
    })
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, h, c, o, wo, left, top }) => {
        // No padding to the right, and none below.
        const w = (wo - 1) * stride + kw - left
        const ho = Math.floor((h + top - kh) / stride) + 1
        const sizes = { n, c, h, w, o, ho, wo, kh, kw, stride, top, left }
        const x = numbers(n * c * h * w, 1)
        const weight = numbers(o * c * kh * kw, 2)
        const grad = numbers(n * o * ho * wo, 3)
        const { forward, ofInput, ofWeight } = convolutions(x, weight, grad, sizes)
        const buffers = [x, weight, grad].map((data) => upload(device, data)) as [GpuBuffer, GpuBuffer, GpuBuffer]
        const [ofX, ofW, ofG] = buffers
        const what = JSON.stringify(sizes)
        const one = await staged(forward.length, tiles[0], () => kernels.conv2d(device, ofX, ofW, sizes))
        expectClose(one, forward, 1e-5, what)
        const two = await staged(ofInput.length, tiles[1], () => kernels.conv2dInputGrad(device, ofG, ofW, sizes))
        expectClose(two, ofInput, 1e-5, what)
        const three = await staged(ofWeight.length, tiles[2], () => kernels.conv2dWeightGrad(device, ofX, ofG, sizes))
        expectClose(three, ofWeight, 1e-5, what)
        for (const buffer of buffers) device.release(buffer)
      }),
      { numRuns: 5 },
    )
  })
})

// Where there is no half precision, nothing of this exists.
if ((await testDevice()).info.features.has('shader-f16'))
  test('operands in half precision give the bits of a kernel without workgroup memory', async () => {
    const halves = { left: true, right: true }
    const half = (count: number, seed: number) => {
      const full = upload(device, numbers(count, seed))
      const buffer = kernels.cast(device, full, count, true)
      device.release(full)
      return buffer
    }
    const [m, n, k] = [36, 68, 40]
    const [a, b] = [half(m * k, 1), half(k * n, 2)]
    const sizes = { batches: 1, m, n, k, transposeA: false, transposeB: true }
    await staged(m * n, '64×64', () => kernels.matmul(device, a, b, sizes, {}, { halves }))
    const own = { n: 2, c: 40, h: 8, w: 8, o: 36, ho: 8, wo: 8, kh: 3, kw: 3, stride: 1, top: 1, left: 1 }
    const [x, weight, grad] = [half(2 * 40 * 64, 1), half(36 * 40 * 9, 2), upload(device, numbers(2 * 36 * 64, 3))]
    await staged(2 * 36 * 64, '64×64', () => kernels.conv2d(device, x, weight, own, {}, halves))
    await staged(2 * 40 * 64, '64×64', () => kernels.conv2dInputGrad(device, grad, weight, own, { right: true }))
    await staged(36 * 40 * 9, '64×64', () => kernels.conv2dWeightGrad(device, x, grad, own, { left: true }))
    for (const buffer of [a, b, x, weight, grad]) device.release(buffer)
  })

test.each<[string, Constants]>([
  ['matmul', { SHARES: 1, EACH: 8, B: 'vec4f', WIDTH_B: 4, Loaded: 'vec4f' }],
  ['conv2d_tiled', { SHARES: 1, EACH: 8, Chunk: 'vec4f', Loaded: 'vec4f' }],
  ['conv2d_weight_grad', {}],
])(
  'wgsl/%s.wgsl compiles for tiles in workgroup memory, with params as immediates and as a uniform',
  async (name, constants) => {
    const lanes = { STAGED: true, DOWN: 16, ACROSS: 16, BLOCKS: 1, SIZE: 256, BROADCAST: false }
    const sums = { UNITS: 2, COLUMNS: 8, QUADS: 2, STEPS: 4 }
    const variant = registered.get(name)!.variant({ ...lanes, ...sums, ...constants })
    for (const immediates of device.info.immediates ? [false, true] : [false]) {
      const module = device.handle.createShaderModule({ code: variant.code(immediates) })
      const { messages } = await module.getCompilationInfo()
      expect([...messages].map((m) => `${m.type} ${m.lineNum}: ${m.message}`)).toEqual([])
    }
  },
)

describe('where they are chosen', () => {
  const sizes = { batches: 1, m: 256, n: 256, k: 256, transposeA: false, transposeB: false }
  const namesOn = (device: Device, own: Sizes) => {
    const [a, b] = [own.m * own.k, own.k * own.n].map((count) => device.alloc(4 * count)) as [GpuBuffer, GpuBuffer]
    const names = candidatesOf(device, () => kernels.matmul(device, a, b, own))
    for (const buffer of [a, b]) device.release(buffer)
    return names
  }

  test('on a GPU by default, but not for few rows, few columns or a short inner dimension', () => {
    expect(namesOn(device, sizes)[0]).toBe('staged 64×64')
    expect(namesOn(device, { ...sizes, m: 2048, n: 2048 })[0]).toBe('staged 128×128')
    // Either way round, of the columns too.
    expect(namesOn(device, { ...sizes, n: 32 })[0]).toBe('staged 128×32')
    expect(namesOn(device, { ...sizes, m: 32 })[0]).toBe('staged 128×32')
    for (const small of [{ m: 8 }, { m: 256, n: 8 }, { k: 8 }]) {
      expect(namesOn(device, { ...sizes, ...small })[0]).not.toMatch(/staged/)
    }
  })

  test('never on a software adapter, where the tuner does not offer them either', async () => {
    const own = await open({})
    expect(namesOn(own, sizes).some((name) => name.startsWith('staged'))).toBe(!own.info.software)
  })

  test('with params in a uniform as with immediates', async () => {
    const uniforms = await open({ likeHardware: true, forceUniforms: true })
    const { n, k } = sizes
    const [a, b] = [numbers(40 * k, 1), numbers(k * n, 2)]
    const results = new Map<string, Float32Array>()
    for (const [name, own] of Object.entries({ 'by default': device, uniforms })) {
      const [left, right] = [upload(own, a), upload(own, b)]
      const out = kernels.matmul(own, left, right, { ...sizes, m: 40 })
      results.set(name, new Float32Array(await own.read(out, 4 * 40 * n)))
      for (const buffer of [left, right, out]) own.release(buffer)
    }
    expectSameBits(results)
  })
})
