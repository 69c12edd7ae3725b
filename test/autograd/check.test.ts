import { beforeAll, describe, expect, test } from 'vitest'
import { checkGrads, defineOp, ops, random, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const normal = (shape: number[], stream = 0) => random.normal(device, shape, { seed: 4, stream })

describe('checkGrads', () => {
  test('passes functions of several tensors whose gradients are right, to the third order', async () => {
    const before = device.memory.current
    const [x, w] = [normal([4, 3]), normal([3, 5], 1)]
    await checkGrads((a, b) => ops.softmax(ops.tanh(ops.matmul(a, b))), [x, w], { order: 3 })
    expect(x.disposed).toBe(false)
    for (const t of [x, w]) t.dispose()
    expect(device.memory.current).toBe(before)
  })

  test('passes large results, and constant ones', async () => {
    const x = normal([10_000])
    await checkGrads((a) => ops.sum(ops.exp(a)), [x])
    await checkGrads((a) => ops.sign(ops.add(ops.square(a), 1)), [x])
    x.dispose()
  })

  /** An op with forward x³ and the given gradient factor. */
  const wrong = (factor: (x: Tensor) => Tensor) => {
    const op = defineOp<Record<never, never>>({
      name: 'cube',
      shape: ([x]) => (x as Tensor).shape,
      forward: (_, [x]) => {
        const cube = ops.mul(ops.square(x as Tensor), x as Tensor)
        const { buffer } = cube
        cube.storage.retain()
        return buffer
      },
      saves: [0],
      vjp: ({ grad, input }) => [ops.mul(grad, factor(input(0)))],
    })
    return (x: Tensor) => op.apply([x], {})
  }

  test('catches a wrong gradient, and says both numbers', async () => {
    const x = normal([20])
    const error = await checkGrads(
      wrong((v) => ops.mul(ops.square(v), 3.3)),
      [x],
    ).catch((e: unknown) => e)
    expect(error).toMatchObject({ name: 'Ld3mError', code: 'numeric' })
    expect((error as Error).message).toMatch(/gradient of order 1 gives -?[\d.]+.*, the central difference -?[\d.]+/)
    x.dispose()
  })

  test('catches a gradient that is right but whose own gradient is not', async () => {
    const x = normal([20])
    const f = wrong((v) => ops.mul(ops.square(v).detach(), 3))
    await checkGrads(f, [x], { order: 1 })
    await expect(checkGrads(f, [x])).rejects.toThrow(/gradient of order 2 gives 0/)
    x.dispose()
  })

  test('checks its arguments', async () => {
    const x = tensor(device, [1])
    const f = (a: Tensor) => a
    await expect(checkGrads(f, [])).rejects.toThrow(expect.objectContaining({ code: 'shape' }))
    await expect(checkGrads(f, [x], { order: 0 })).rejects.toThrow(/order is 0/)
    await expect(checkGrads(f, [x], { eps: 0 })).rejects.toThrow(/eps is 0/)
    await expect(checkGrads(f, [x], { tolerance: -1 })).rejects.toThrow(/tolerance is -1/)
    await expect(checkGrads(f, [x], { step: 1 } as object)).rejects.toThrow(/unknown option 'step'/)
    await expect(checkGrads((async () => x) as never, [x])).rejects.toThrow(/checkGrads: the body returned a promise/)
    await expect(checkGrads((() => 3) as never, [x])).rejects.toThrow(/the function returned 3, not a tensor/)
    await expect(checkGrads(f, x as never)).rejects.toThrow(/checkGrads: xs is an object/)
    await expect(checkGrads(f, [1 as never])).rejects.toThrow(/input 0 is 1, not a tensor/)
    const labels = tensor(device, Int32Array.of(1))
    await expect(checkGrads(f, [labels])).rejects.toThrow(/input 0 is i32/)
    for (const t of [x, labels]) t.dispose()
  })
})
