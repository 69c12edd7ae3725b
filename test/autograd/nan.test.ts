// NaN, which tells that something diverged, passes through every op that compares, as in PyTorch. WGSL lets compilers
// assume that there is none, so this is to be run on each adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor, zeros } from '../../src/autograd/index.ts'
import type { Device, DeviceOptions } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'

/** NaN with either sign: arithmetic on some processors gives the negative one. */
const NANS = new Float32Array(Uint32Array.of(0x7fc00000, 0xffc00000).buffer)

describe.each<[string, DeviceOptions]>([
  ['fused', {}],
  ['one by one', { fuse: false }],
])('%s', (_, options) => {
  let device: Device
  beforeAll(async () => {
    device = await openDevice(options)
  })
  afterAll(() => device.destroy())

  /** −2, NaN, 2, NaN, −2, …: in fours and not. */
  const data = (count: number) =>
    Float32Array.from({ length: count }, (_, i) => (i % 2 ? NANS[(i >> 1) % 2]! : i % 4 ? 2 : -2))
  const diverged = (shape: number[]) =>
    tensor(device, data(shape.reduce((a, b) => a * b, 1)), { shape, requiresGrad: true })

  const elementwise: Record<string, (x: Tensor) => Tensor> = {
    relu: ops.relu,
    tanh: ops.tanh,
    clamp: (x) => ops.clamp(x, -1, 1),
    'maximum, as the first input': (x) => ops.maximum(x, tensor(device, [1])),
    'maximum, as the second input': (x) => ops.maximum(tensor(device, [1]), x),
    'minimum, as the first input': (x) => ops.minimum(x, tensor(device, [1])),
    'minimum, as the second input': (x) => ops.minimum(tensor(device, [1]), x),
    'relu after a product': (x) => ops.relu(ops.mul(x, 2)),
  }
  describe.each(Object.entries(elementwise))('passes through %s', (_, f) => {
    test.each([3, 64])('of %d elements', async (count) => {
      const y = scope(() => f(diverged([count])))
      expect([...(await y.read())].map(Number.isNaN)).toEqual([...data(count)].map(Number.isNaN))
    })
  })

  test('passes through the gradient of relu, fused behind a norm or not', async () => {
    const gradients = scope(() => {
      const x = diverged([1, 2, 2, 2])
      const gradOutput = tensor(device, new Float32Array(8).fill(3), { shape: [1, 2, 2, 2] })
      return [
        grad(ops.relu(x), [x], { gradOutput })[0],
        grad(ops.groupNorm(x, { groups: 1, activation: 'relu' }), [x], { gradOutput })[0],
      ]
    }) as [Tensor, Tensor]
    expect([...(await gradients[0].read())]).toEqual([0, 3, 3, 3, 0, 3, 3, 3])
    expect([...(await gradients[1].read())].every(Number.isNaN)).toBe(true)
  })

  test.each([5, 200])('is the largest of %d elements, and the first of several', async (count) => {
    const [index, value, column] = scope(() => {
      const x = tensor(device, [...data(count), ...data(count)], { shape: [2, count] })
      return [ops.argmax(x, 1), ops.max(x, 1), ops.argmax(x, 0)]
    }) as [Tensor, Tensor, Tensor]
    expect([...(await index.read())]).toEqual([1, 1])
    expect([...(await value.read())]).toEqual([Number.NaN, Number.NaN])
    expect((await column.read()).every((row) => row === 0)).toBe(true)
  })

  test('passes through pooling, and the gradient goes to the first', async () => {
    const [y, g] = scope(() => {
      const x = diverged([1, 1, 4, 4])
      const y = ops.maxPool2d(x, { kernel: 2 })
      return [y, ...grad(ops.sum(y), [x])]
    }) as [Tensor, Tensor]
    expect([...(await y.read())].every(Number.isNaN)).toBe(true)
    expect([...(await g.read())]).toEqual([0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0])
  })

  const products: Record<string, (x: Tensor) => Tensor> = {
    'a convolution': (x) => ops.conv2d(x, zeros(device, [3, 2, 3, 3]), { padding: 1, activation: 'relu' }),
    'a matrix product': (x) => ops.matmul(ops.reshape(x, [4, 8]), zeros(device, [8, 4]), { activation: 'relu' }),
    'a norm': (x) => ops.groupNorm(x, { groups: 1, activation: 'relu' }),
  }
  test.each(Object.entries(products))('passes through the relu behind %s', async (_, f) => {
    const y = scope(() => f(diverged([1, 2, 4, 4])))
    expect([...(await y.read())].every(Number.isNaN)).toBe(true)
  })
})
