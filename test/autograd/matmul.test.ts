import { describe, expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { testDevice } from '../support/device.ts'

/** Fails unless all elements are the expected ones: `toEqual` takes minutes for millions. */
const expectEach = (actual: Float32Array, expected: (i: number) => number) =>
  expect(actual.findIndex((x, i) => x !== expected(i))).toBe(-1)

/** Numbers that are exact in sums. */
const pattern = (count: number) => Float32Array.from({ length: count }, (_, i) => (i % 7) - 3)

describe('work with more workgroups than a dimension of the grid allows', () => {
  test('is done by products', async () => {
    const device = await testDevice()
    const [m, n] = [2 ** 20, 32]
    const [a, b] = [pattern(m), pattern(n)]
    const [rows, columns] = scope(() => {
      const y = ops.matmul(tensor(device, a, { shape: [m, 1] }), tensor(device, b, { shape: [1, n] }))
      return [ops.matmul(y, tensor(device, pattern(n), { shape: [n, 1] })), ops.sum(y, 0)]
    }) as [Tensor, Tensor]
    const square = b.reduce((sum, x) => sum + x * x, 0)
    expectEach(await rows.read(), (i) => a[i]! * square)
    const total = a.reduce((sum, x) => sum + x, 0)
    expectEach(await columns.read(), (i) => b[i]! * total)
    for (const t of [rows, columns]) t.dispose()
  })

  test('is done by convolutions', async () => {
    const device = await testDevice()
    const [h, o] = [2 ** 19 + 11, 16]
    const [x, w] = [pattern(h), pattern(o)]
    const y = scope(() =>
      ops.conv2d(tensor(device, x, { shape: [1, 1, h, 1] }), tensor(device, w, { shape: [o, 1, 1, 1] })),
    )
    expectEach(await y.read(), (i) => w[Math.floor(i / h)]! * x[i % h]!)
    y.dispose()
  })
})

test.each(['f32', 'f16'] as const)(
  'a matrix in %s is shared by all batches, also of a transposed factor',
  async (dtype) => {
    const device = await testDevice()
    if (dtype === 'f16' && !device.info.features.has('shader-f16')) return
    const [batches, k, m, n] = [2, 3, 4, 5]
    const [a, b] = [pattern(batches * k * m), pattern(k * n)]
    const [y, da, db] = scope(() => {
      const left = tensor(device, a, { shape: [batches, k, m], requiresGrad: true })
      const right = tensor(device, b, { shape: [k, n], requiresGrad: true })
      const half = (x: Tensor) => (dtype === 'f16' ? ops.toHalf(x) : x)
      const y = ops.matmul(half(left), half(right), { transposeA: true })
      return [y, ...grad(ops.sum(y), [left, right])]
    }) as [Tensor, Tensor, Tensor]
    const product = (i: number) => {
      const [batch, row, column] = [Math.floor(i / (m * n)), Math.floor(i / n) % m, i % n]
      return [0, 1, 2].reduce((sum, l) => sum + a[(batch * k + l) * m + row]! * b[l * n + column]!, 0)
    }
    expectEach(await y.read(), product)
    const row = (l: number) => b.subarray(l * n, (l + 1) * n).reduce((sum, x) => sum + x, 0)
    expectEach(await da.read(), (i) => row(Math.floor(i / m) % k))
    const column = (l: number) => a.reduce((sum, x, i) => (Math.floor(i / m) % k === l ? sum + x : sum), 0)
    expectEach(await db.read(), (i) => column(Math.floor(i / n)))
  },
)

test('a product does not see what a reused buffer held before', async () => {
  const device = await testDevice()
  // K is no multiple of the steps that some adapters take at once; the buffers are larger than the matrices.
  const [m, k, n] = [4, 5, 10]
  for (const count of [m * k, k * n]) {
    const stale = tensor(device, new Float32Array(64).fill(Number.NaN), { shape: [64] })
    expect(stale.size).toBeGreaterThanOrEqual(count)
    stale.dispose()
  }
  const a = tensor(device, new Float32Array(m * k).fill(1), { shape: [m, k] })
  for (const transposeB of [false, true]) {
    const b = tensor(device, new Float32Array(k * n).fill(1), { shape: transposeB ? [n, k] : [k, n] })
    const product = scope(() => ops.matmul(a, b, { transposeB }))
    expect([...(await product.read())]).toEqual(new Array(m * n).fill(k))
    product.dispose()
    b.dispose()
  }
  a.dispose()
})
