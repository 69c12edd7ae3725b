import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
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
