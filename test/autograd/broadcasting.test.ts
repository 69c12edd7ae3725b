import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { grad, ops, random, scope, type Tensor, tensor, zeros } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { testDevice } from '../support/device.ts'
import { broadcastAt, ndarray, sizeOf, unravel } from '../support/ndarray.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

// Sizes for which four neighbours can be taken at once, shifts replace divisions, and neither.
const size = fc.constantFrom(1, 2, 3, 4, 5, 8, 12)
const outputs = fc.array(size, { minLength: 1, maxLength: 4 })
/** Which dimensions of the output a source is broadcast along, and how many outer ones it lacks. */
const source = fc.record({ along: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }), lacks: fc.nat(3) })
const shapeOf = (out: readonly number[], { along, lacks }: { along: boolean[]; lacks: number }) =>
  out.map((d, i) => (along[i] ? 1 : d)).slice(Math.min(lacks, out.length))

test('a chain reads each of its sources at the place that broadcasting gives', async () => {
  await fc.assert(
    fc.asyncProperty(outputs, fc.array(source, { minLength: 2, maxLength: 4 }), async (out, sources) => {
      const shapes = [out, ...sources.map((s) => shapeOf(out, s))]
      const arrays = shapes.map((shape, k) => ndarray(shape, (i) => (i + 1) * 1000 ** -k))
      const y = scope(() => {
        const xs = arrays.map((x) => tensor(device, Float32Array.from(x.data), { shape: x.shape }))
        // After a reshape the same memory is read by other shapes.
        const first = ops.reshape(ops.add(xs[0]!, xs[1]!), [-1])
        return xs.slice(2).reduce((a, b) => ops.add(a, b), ops.reshape(first, out))
      })
      const data = await y.read()
      y.dispose()
      for (let i = 0; i < sizeOf(out); i++) {
        const expected = arrays.reduce((sum, x) => sum + broadcastAt(x, unravel(i, out)), 0)
        expect(Math.abs(data[i]! - expected)).toBeLessThan(1e-6 * expected)
      }
    }),
    { numRuns: 40 },
  )
})

test('chains of shapes that cut across each other are computed one after the other', async () => {
  const y = scope(() => {
    const x = tensor(device, new Float32Array(6))
    const rows = ops.add(ops.reshape(x, [2, 3]), tensor(device, [1, 2, 3]))
    const columns = ops.add(ops.reshape(x, [3, 2]), tensor(device, [10, 20]))
    return ops.add(ops.reshape(rows, [6]), ops.reshape(columns, [6]))
  })
  expect([...(await y.read())]).toEqual([11, 22, 13, 21, 12, 23])
  y.dispose()
})

test('sums and means over alternating dimensions have gradients, however many', async () => {
  const [ofSum, ofMean] = scope(() => {
    const x = random.normal(device, new Array(7).fill(2), { seed: 1, stream: 0 }).leaf()
    const weights = tensor(
      device,
      Float32Array.from({ length: 16 }, (_, i) => i),
      { shape: [1, 2, 1, 2, 1, 2, 2] },
    )
    const y = ops.sum(x, [0, 2, 4], { keepDims: true })
    return [...grad(ops.sum(ops.mul(y, weights)), [x]), ...grad(ops.sum(ops.mean(x, [0, 2, 4, 6])), [x])]
  }) as [Tensor, Tensor]
  const place = (i: number) => ((i >> 5) & 1) * 8 + ((i >> 3) & 1) * 4 + ((i >> 1) & 1) * 2 + (i & 1)
  expect([...(await ofSum.read())]).toEqual(Array.from({ length: 128 }, (_, i) => place(i)))
  expect([...(await ofMean.read())]).toEqual(new Array(128).fill(1 / 16))
})

test('the gradient of what is broadcast over an empty batch is zero', async () => {
  const gradients = scope(() => {
    const [b, weight] = [zeros(device, [3]).leaf(), zeros(device, [4, 2, 3, 3]).leaf()]
    const sum = ops.add(zeros(device, [0, 3]), b)
    const maps = ops.conv2d(zeros(device, [0, 2, 5, 5]), weight)
    return [
      ...grad(sum, [b], { gradOutput: zeros(device, [0, 3]) }),
      ...grad(maps, [weight], { gradOutput: zeros(device, maps.shape) }),
    ]
  })
  for (const g of gradients) expect((await g.read()).every((x) => x === 0)).toBe(true)
  expect(gradients.map((g) => g.shape)).toEqual([[3], [4, 2, 3, 3]])
})

test('more alternating dimensions than kernels walk are refused in words', () => {
  scope(() => {
    const [a, b] = [
      tensor(device, new Float32Array(8), { shape: [2, 1, 2, 1, 2] }),
      tensor(device, new Float32Array(4), { shape: [1, 2, 1, 2, 1] }),
    ]
    expect(() => ops.add(a, b)).toThrow(/alternates between too many dimensions; 4 are supported/)
    expect(() => ops.select(a, a, b)).toThrow(/alternates between too many dimensions/)
  })
})
