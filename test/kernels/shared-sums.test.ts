import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Op, registry } from '../../src/autograd/index.ts'
import type { Device, GpuBuffer } from '../../src/gpu/index.ts'
import * as kernels from '../../src/kernels/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { norm } from '../samples/norm.ts'
import type { Samples } from '../samples/types.ts'
import { checkForward, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { upload } from '../support/variants.ts'

// How a GPU shares what few invocations would walk for long, run on this adapter.

let device: Device
beforeAll(async () => {
  device = await openDevice({ likeHardware: true })
})
afterAll(() => device.destroy())
afterEach(() => vi.restoreAllMocks())

interface Sizes {
  readonly outer: number
  readonly reduced: number
  readonly inner: number
}

/** What `launch` dispatches on a device. */
function dispatches(of: Device, launch: () => void) {
  const spy = vi.spyOn(of, 'dispatch')
  launch()
  const calls = spy.mock.calls.map(([{ kernel, constants }, , params, grid]) => ({
    kernel: kernel.name,
    constants,
    params,
    workgroups: grid[0] * grid[1],
  }))
  spy.mockRestore()
  return calls
}

/** Whole numbers from −8 to 8, whose sums f32 holds exactly, with many equal ones. */
function wholes(count: number, seed: number): Float32Array {
  const random = uniform(seed)
  return Float32Array.from({ length: count }, () => Math.floor(random() * 17) - 8)
}

const floats = async (buffer: GpuBuffer, count: number) => {
  const data = new Float32Array(await device.read(buffer, count * 4))
  device.release(buffer)
  return data
}

/** `value` of each output, of how to read its elements. */
function byOutput({ outer, reduced, inner }: Sizes, value: (at: (r: number) => number) => number): number[] {
  return Array.from({ length: outer * inner }, (_, output) => {
    const o = Math.floor(output / inner)
    return value((r) => (o * reduced + r) * inner + (output % inner))
  })
}

const between = (min: number, max: number) => fc.integer({ min, max })
const sizesOf = (outer: fc.Arbitrary<number>, reduced: fc.Arbitrary<number>, inner: fc.Arbitrary<number>) =>
  fc.record({ outer, reduced, inner })
const fours = (min: number, max: number) => between(min, max).map((n) => 4 * n)

/** A kind of shape, and the launches of a sum and of a search. */
const PATHS: readonly [name: string, sums: number, searches: number, sizes: fc.Arbitrary<Sizes>][] = [
  ['short rows', 1, 1, sizesOf(between(1, 90), between(1, 130), fc.constant(1))],
  // Sums take several rounds of a workgroup, and the grid of searches is folded.
  ['rows for more workgroups than a grid has', 1, 1, sizesOf(between(262_145, 265_000), between(5, 7), fc.constant(1))],
  ['rows for one workgroup', 1, 1, sizesOf(between(1, 5), between(300, 8000), fc.constant(1))],
  [
    'long rows in parts',
    2,
    2,
    sizesOf(
      between(1, 3),
      between(8200, 30_000).map((n) => 2 * n + 1),
      fc.constant(1),
    ),
  ],
  ['long rows in parts, by fours', 2, 2, sizesOf(between(1, 3), fours(8200, 20_000), fc.constant(1))],
  ['short columns', 1, 1, sizesOf(between(1, 5), between(1, 30), between(2, 70))],
  ['columns that a workgroup shares', 1, 1, sizesOf(between(1, 3), between(33, 1000), between(2, 70))],
  ['columns beside which there are many', 1, 1, sizesOf(fc.constant(2), between(5, 9), between(70_000, 71_000))],
  ['long columns in parts', 2, 2, sizesOf(between(1, 3), between(1100, 3000), between(2, 40))],
  ['columns of which parts are many', 3, 3, sizesOf(fc.constant(1), between(140_000, 150_000), between(2, 3))],
]

describe.each(PATHS)('%s', (_, sums, searches, sizes) => {
  test(`are added up exactly where that is possible (launches: ${sums})`, async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (shape, seed) => {
        const { outer, reduced, inner } = shape
        const data = wholes(outer * reduced * inner, seed)
        const x = upload(device, data)
        let result: GpuBuffer | undefined
        const launches = dispatches(device, () => {
          result = kernels.reduce(device, x, outer, reduced, inner, 0.5)
        })
        device.release(x)
        expect(launches.length).toBe(sums)
        const expected = byOutput(shape, (at) => {
          let sum = 0
          for (let r = 0; r < reduced; r++) sum += data[at(r)]!
          return sum / 2
        })
        expect([...(await floats(result!, outer * inner))].map((v) => v + 0)).toEqual(expected.map((v) => v + 0))
      }),
      { numRuns: 6 },
    )
  })

  test(`are searched for the first of the largest, or of NaN (launches: ${searches})`, async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), between(0, 3), async (shape, seed, nans) => {
        const { outer, reduced, inner } = shape
        const data = wholes(outer * reduced * inner, seed)
        const bits = new Uint32Array(data.buffer)
        const random = uniform(seed + 1)
        for (let i = 0; i < nans; i++) {
          bits[Math.floor(random() * data.length)] = i % 2 ? 0xffc00000 : 0x7fc00000
        }
        const x = upload(device, data)
        let result: GpuBuffer | undefined
        const launches = dispatches(device, () => {
          result = kernels.argmax(device, x, outer, reduced, inner)
        })
        device.release(x)
        expect(launches.length).toBe(searches)
        const expected = byOutput(shape, (at) => {
          let best = 0
          for (let r = 1; r < reduced; r++) {
            const [value, largest] = [data[at(r)]!, data[at(best)]!]
            if (!Number.isNaN(largest) && (value > largest || Number.isNaN(value))) best = r
          }
          return best
        })
        const found = new Int32Array(await device.read(result!, outer * inner * 4))
        device.release(result!)
        expect([...found]).toEqual(expected)
      }),
      { numRuns: 6 },
    )
  })
})

describe('rows are added to where their indices say, in their order', () => {
  test.each<[string, fc.Arbitrary<{ rows: number; inner: number; count: number }>]>([
    ['few columns', fc.record({ rows: between(1, 600), inner: between(1, 5), count: between(1, 5000) })],
    [
      'several workgroups of columns',
      fc.record({ rows: between(1, 20), inner: between(257, 700), count: between(1, 80) }),
    ],
    ['blocks of rows', fc.record({ rows: between(8193, 30_000), inner: between(1, 3), count: between(1, 5000) })],
  ])('%s', async (_, cases) => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async ({ rows, inner, count }, seed) => {
        const random = uniform(seed)
        const data = Float32Array.from({ length: count * inner }, () => random() - 0.5)
        // Half of them fall among a few rows; some lie outside.
        const few = Math.max(1, Math.ceil(rows / 50))
        const index = () => Math.floor(random() * (random() < 0.5 ? few : rows + 2)) - 1
        const indices = Int32Array.from({ length: count }, index)
        const expected = new Float32Array(rows * inner)
        indices.forEach((row, n) => {
          if (row < 0 || row >= rows) return
          for (let d = 0; d < inner; d++) expected[row * inner + d]! += data[n * inner + d]!
        })
        const x = upload(device, data)
        const at = device.alloc(count * 4)
        device.upload(at, indices)
        // Whatever the buffer held before must be gone.
        const stale = upload(device, new Float32Array(rows * inner).fill(7))
        device.release(stale)
        const result = await floats(kernels.scatterAdd(device, x, at, count, rows, inner), rows * inner)
        device.release(x)
        device.release(at)
        expect(result).toEqual(expected)
      }),
      { numRuns: 8 },
    )
  })
})

describe('gradients of weights of a norm over many samples', () => {
  const shapes = fc.oneof(
    fc.tuple(between(257, 5000), between(1, 6)).map(([samples, channels]) => [samples, channels]),
    fc.tuple(between(2, 300), between(1, 4), between(1, 20)).map(([samples, channels, w]) => [samples, channels, w]),
    fc.tuple(between(2, 20), between(1, 3), between(500, 2100)).map(([samples, channels, w]) => [samples, channels, w]),
  )
  test.each(['groupNormGrad', 'groupNormSecondGrad'] as const)('%s agrees with float64', async (name) => {
    const op = registry[name] as unknown as Op<unknown>
    await fc.assert(
      fc.asyncProperty(shapes, fc.constantFrom('weight', 'bias'), fc.nat(), async (shape, of, seed) => {
        const [samples, channels] = shape as [number, number]
        const first = name === 'groupNormGrad'
        const stats = { shape: [samples, first ? 2 : 4], low: 0.2, high: 1 }
        const between = first ? [stats] : [{ shape }, stats, { shape: [2 * channels] }]
        const learned = [
          { shape: [channels], low: 0.5, high: 1.5 },
          { shape: [channels], low: -1, high: 1 },
        ]
        const inputs = [{ shape }, { shape }, ...between, ...learned]
        const attrs = { groups: 1, eps: 1e-3, activation: 'silu', of: [of] }
        await checkForward(device, op, norm[name] as unknown as Samples<unknown>, { inputs, attrs }, seed)
      }),
      { numRuns: 10 },
    )
  })
})

describe('no invocation walks for long where others would be idle', () => {
  const scatter = (on: Device, rows: number, inner: number, taken: number) => {
    const [x, indices] = [on.alloc(taken * inner * 4), on.alloc(taken * 4)]
    const launches = dispatches(on, () => on.release(kernels.scatterAdd(on, x, indices, taken, rows, inner)))
    for (const buffer of [x, indices]) on.release(buffer)
    return launches
  }
  const sum = (on: Device, f: typeof kernels.argmax, outer: number, reduced: number, inner: number) => {
    const x = on.alloc(outer * reduced * inner * 4)
    const launches = dispatches(on, () => on.release(f(on, x, outer, reduced, inner)))
    on.release(x)
    return launches
  }
  const weights = (on: Device, samples: number, channels: number, inner: number) => {
    const x = on.alloc(samples * channels * inner * 4)
    const stats = on.alloc(samples * 8)
    const sizes = { samples, channels, inner, groups: 1 }
    const launches = dispatches(on, () => {
      const { weight, bias } = kernels.normWeightGrad(on, x, x, stats, sizes, { activation: 'none' })
      on.release(weight)
      on.release(bias)
    })
    for (const buffer of [x, stats]) on.release(buffer)
    return launches
  }

  /** Elements that one invocation reads after the other. */
  function walk({ kernel, constants, params, workgroups }: ReturnType<typeof dispatches>[number]): number {
    const [lanes, size] = [Number(constants.LANES), Number(constants.SIZE)]
    const byChannel = kernel === 'norm_weight_grad'
    const outputs = byChannel ? params.chunks! * params.channels! : params.outputs!
    const rounds = Math.ceil((outputs * lanes) / size / workgroups)
    const each = Math.ceil((byChannel ? params.inner! : constants.PARTS ? params.part! : params.reduced!) / lanes)
    return rounds * each * (byChannel ? params.samples_per_chunk! : 1)
  }

  test.each<[string, number, number, number]>([
    ['everything', 1, 2 ** 20, 1],
    ['columns', 1, 65_536, 32],
    ['a few rows', 8, 100_003, 1],
  ])('in sums and searches of %s', (_, ...sizes) => {
    for (const f of [kernels.reduce, kernels.argmax]) {
      for (const launch of sum(device, f, ...sizes)) expect(walk(launch), `${f.name}`).toBeLessThanOrEqual(32)
    }
  })

  test.each([
    [64, 64, 256],
    [4096, 64, 1],
    [64, 32, 1024],
  ])('in weight gradients of a norm over %d×%d×%d', (...sizes) => {
    for (const launch of weights(device, ...sizes)) expect(walk(launch)).toBeLessThanOrEqual(16)
  })

  test('in additions to rows, which mark what they need', () => {
    expect(scatter(device, 512, 4, 4096)).toMatchObject([{ kernel: 'scatter_add_marked', workgroups: 512 }])
    expect(scatter(device, 1001, 512, 256)).toMatchObject([{ kernel: 'scatter_add_marked', workgroups: 2002 }])
  })

  test('and a software adapter has as few launches as ever, an invocation a column', async () => {
    const own = await testDevice()
    const { software } = own.info
    for (const f of [kernels.reduce, kernels.argmax]) {
      const lanes = sum(own, f, 1, 65_536, 32).map(({ constants }) => constants.LANES)
      expect(lanes).toEqual(software ? [1] : [32, 32])
    }
    const kernel = software ? 'scatter_add' : 'scatter_add_marked'
    expect(scatter(own, 512, 4, 4096)).toMatchObject([{ kernel }])
    const [first, ...rest] = weights(own, 4096, 32, 4)
    expect([first?.params.chunks, rest.length]).toEqual([software ? 2 : 256, 2])
  })
})
