import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

test('gives the first of equally near rows, and the gradient of the identity', async () => {
  const device = await testDevice()
  const [quantized, indices, gradient] = scope(() => {
    const z = tensor(device, [0, 0.9, -3], { shape: [1, 1, 1, 3], requiresGrad: true })
    const codebook = tensor(device, [1, -1, -1, 1], { shape: [4, 1], requiresGrad: true })
    const result = ops.vectorQuantize(z, codebook)
    const gradOutput = tensor(device, [5, 6, 7], { shape: [1, 1, 1, 3] })
    return [result.quantized, result.indices, ...grad(result.quantized, [z], { gradOutput })]
  }) as [Tensor, Tensor, Tensor]
  expect([...(await indices.read())]).toEqual([0, 0, 1])
  expect([...(await quantized.read())]).toEqual([1, 1, -1])
  expect([...(await gradient.read())]).toEqual([5, 6, 7])
})

test('the codebook is trained through gather', async () => {
  const device = await testDevice()
  const gradient = scope(() => {
    const z = tensor(device, [0.5, 0.9, -3], { shape: [1, 1, 1, 3] })
    const codebook = tensor(device, [1, -1], { shape: [2, 1], requiresGrad: true })
    const { indices } = ops.vectorQuantize(z, codebook)
    const rows = ops.gather(codebook, indices)
    return grad(ops.sum(ops.square(ops.sub(rows, ops.reshape(z, [1, 1, 3, 1])))), [codebook])[0] as Tensor
  })
  const [first, second] = await gradient.read()
  expect(first).toBeCloseTo(2 * (0.5 + 0.1), 5)
  expect(second).toBeCloseTo(2 * 2, 5)
})

test('says what shapes it needs', async () => {
  const device = await testDevice()
  scope(() => {
    const z = tensor(device, new Float32Array(12), { shape: [1, 3, 2, 2] })
    const codebook = tensor(device, new Float32Array(8), { shape: [2, 4] })
    expect(() => ops.vectorQuantize(z, codebook)).toThrow(/z has shape \[1, 3, 2, 2\], the codebook \[2, 4\]/)
  })
})

/** Whole numbers, so that distances are exact and many are equal. */
const wholes = (count: number, seed: number) => {
  const random = uniform(seed)
  return Float32Array.from({ length: count }, () => Math.floor(random() * 7) - 3)
}

test('on a GPU lanes that share a position give the first of the nearest rows, as one invocation does', async () => {
  const [hardware, software] = [await openDevice({ likeHardware: true }), await testDevice()]
  const launched = new Set<unknown>()
  const dispatch = hardware.dispatch.bind(hardware)
  hardware.dispatch = (variant, ...rest) => {
    launched.add(variant.constants.LANES ?? 1)
    dispatch(variant, ...rest)
  }
  const cases = fc.record({
    n: fc.integer({ min: 1, max: 3 }),
    c: fc.constantFrom(3, 4, 6),
    size: fc.integer({ min: 1, max: 4 }),
    // One lane a position, 8, 64 and 256.
    rows: fc.constantFrom(5, 37, 300, 1500),
    seed: fc.nat(),
    // A row, or a position, that is no number.
    nan: fc.constantFrom('none', 'a row', 'the first row', 'a position'),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ n, c, size, rows, seed, nan }) => {
      const [z, codebook] = [wholes(n * c * size * size, seed), wholes(rows * c, seed + 1)]
      if (nan === 'a row') codebook[Math.floor(rows / 2) * c] = Number.NaN
      if (nan === 'the first row') codebook[0] = Number.NaN
      if (nan === 'a position') z[0] = Number.NaN
      const run = async (device: Device) => {
        const indices = scope(() =>
          ops.nearestCodeOp.apply(
            [tensor(device, z, { shape: [n, c, size, size] }), tensor(device, codebook, { shape: [rows, c] })],
            {},
          ),
        )
        const read = [...(await indices.read())]
        indices.dispose()
        return read
      }
      const found = await run(hardware)
      expect(found).toEqual(await run(software))
      expect(found).toEqual(nearest(z, codebook, c, size * size))
    }),
    { numRuns: 40 },
  )
  expect([...launched].sort()).toEqual([1, 256, 64, 8])
  hardware.destroy()
})

test('on a GPU teams take several positions, one after the other, where there are many', async () => {
  const device = await openDevice({ likeHardware: true })
  const dispatch = vi.spyOn(device, 'dispatch')
  // 8,192 workgroups of eight teams are fewer than the positions.
  const [c, size, rows] = [3, 260, 37]
  const [z, codebook] = [wholes(c * size * size, 1), wholes(rows * c, 2)]
  const found = await scope(() =>
    ops.nearestCodeOp.apply(
      [tensor(device, z, { shape: [1, c, size, size] }), tensor(device, codebook, { shape: [rows, c] })],
      {},
    ),
  ).read()
  expect(dispatch.mock.calls.map(([{ constants }, , , grid]) => [constants.LANES, grid[0]])).toEqual([[8, 8192]])
  expect([...found]).toEqual(nearest(z, codebook, c, size * size))
  device.destroy()
})

/** The same in float64. */
function nearest(z: Float32Array, codebook: Float32Array, c: number, inner: number): number[] {
  return Array.from({ length: z.length / c }, (_, i) => {
    const sample = Math.floor(i / inner)
    const distances = Array.from({ length: codebook.length / c }, (_, k) => {
      let distance = 0
      for (let j = 0; j < c; j++) distance += (z[(sample * c + j) * inner + (i % inner)]! - codebook[k * c + j]!) ** 2
      return distance
    })
    return distances.reduce((best, distance, k) => (distance < distances[best]! ? k : best), 0)
  })
}
