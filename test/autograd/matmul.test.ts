import { expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
import { testDevice } from '../support/device.ts'

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
