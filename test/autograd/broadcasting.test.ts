import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
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
