import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { grad, ops, random, scope, type Tensor, tensor, zeros } from '../../src/autograd/index.ts'
import { type Device, defineKernel, Kernel } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'

const { add, matmul, mul, sum } = ops

let device: Device
/** A second device on the same adapter, that passes params in uniform buffers. */
let other: Device
beforeAll(async () => {
  device = await testDevice()
  other = await openDevice({ forceUniforms: true, keepBytes: 0 })
})
afterAll(() => other.destroy())

/** Reads and disposes. */
async function take(x: Tensor): Promise<number[]> {
  const data = [...(await x.read())]
  x.dispose()
  return data
}

describe.each([
  ['with immediates, where there are any', () => device],
  ['with uniforms, keeping no buffers', () => other],
] as const)('the recorder %s', (_, current) => {
  test('runs thousands of commands in their order, over many batches', async () => {
    const device = current()
    // x ← 2x + k does not commute: a lost or exchanged command shows.
    const result = scope(() => {
      let x = tensor(device, [0])
      for (let k = 0; k < 1500; k++) x = scope(() => ops.affine(x, k % 2 === 0 ? 2 : 0.5, k % 7))
      return x
    })
    let expected = 0
    for (let k = 0; k < 1500; k++) expected = Math.fround(Math.fround((k % 2 === 0 ? 2 : 0.5) * expected) + (k % 7))
    expect(await take(result)).toEqual([expected])
  })

  test('keeps uploads in order with the kernels around them', async () => {
    const device = current()
    const x = tensor(device, [1, 2])
    const results: Tensor[] = []
    for (let k = 0; k < 300; k++) {
      x.write(Float32Array.of(k, -k))
      results.push(ops.affine(x, 1, 0.5))
    }
    for (const [k, y] of results.entries()) expect(await take(y)).toEqual([k + 0.5, 0.5 - k])
    x.dispose()
  })

  test('copies what it uploads: the caller may change it at once', async () => {
    const device = current()
    const data = Float32Array.of(1, 2)
    const x = tensor(device, data)
    data.fill(9)
    expect(await take(x)).toEqual([1, 2])
  })

  test('gives a released buffer to the next tensor without mixing them up', async () => {
    const device = current()
    const results: Tensor[] = []
    for (let k = 0; k < 20; k++) {
      results.push(
        scope(() => {
          const temporary = tensor(device, new Float32Array(1000).fill(k))
          return sum(add(temporary, 1))
        }),
      )
    }
    for (const [k, y] of results.entries()) expect(await take(y)).toEqual([1000 * (k + 1)])
  })

  test('zeros are zeros in a buffer that held something else', async () => {
    const device = current()
    tensor(device, new Float32Array(500).fill(3)).dispose()
    expect(await take(scope(() => sum(zeros(device, [500]))))).toEqual([0])
  })

  test('reads many tensors at once', async () => {
    const device = current()
    const tensors = Array.from({ length: 40 }, (_, k) => tensor(device, [k, k + 1]))
    const values = await Promise.all(tensors.map((t) => t.read()))
    values.forEach((v, k) => {
      expect([...v]).toEqual([k, k + 1])
    })
    for (const t of tensors) t.dispose()
  })
})

test('both devices give the same numbers, bit for bit', async () => {
  const run = (device: Device) =>
    scope(() => {
      const x = random.normal(device, [8, 12], { seed: 1, stream: 0 })
      const w = random.normal(device, [12, 5], { seed: 1, stream: 1 }).leaf()
      const labels = tensor(device, Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2))
      const loss = ops.crossEntropy(ops.tanh(matmul(x, w)), labels)
      const [g] = grad(loss, [w], { createGraph: true }) as [Tensor]
      return [loss, g, ...grad(sum(mul(g, g)), [w])]
    })
  const [a, b] = [run(device), run(other)]
  for (const [i, t] of a.entries()) expect(await take(t)).toEqual(await take(b[i]!))
})

test('tensors of two devices do not mix', () => {
  scope(() => {
    expect(() => add(tensor(device, [1]), tensor(other, [1]))).toThrow(/on different devices/)
  })
})

test('memory is counted, reused and given back', async () => {
  const before = device.memory
  const x = tensor(device, new Float32Array(100_000))
  expect(device.memory.current - before.current).toBeGreaterThanOrEqual(400_000)
  expect(device.memory.current - before.current).toBeLessThanOrEqual(500_000)
  device.resetPeak()
  expect(device.memory.peak).toBe(device.memory.current)
  x.dispose()
  expect(device.memory.current).toBe(before.current)
  const { reserved } = device.memory
  tensor(device, new Float32Array(100_000)).dispose()
  expect(device.memory.reserved).toBe(reserved)
  device.trim()
  expect(device.memory.reserved).toBe(device.memory.current)
  await device.synchronize()
})

test('a device that keeps no buffers returns each to the driver, also with work pending', async () => {
  const x = scope(() => {
    let x = tensor(other, new Float32Array(1000).fill(1))
    for (let k = 0; k < 600; k++) x = scope(() => add(x, 1))
    return sum(x)
  })
  expect(await take(x)).toEqual([601_000])
  expect(other.memory.reserved).toBe(other.memory.current)
})

describe('errors', () => {
  test('a buffer beyond what the adapter binds says so, before anything is recorded', async () => {
    const limit = Math.min(device.handle.limits.maxStorageBufferBindingSize, device.handle.limits.maxBufferSize)
    expect(() => device.alloc(limit + 4)).toThrow(
      expect.objectContaining({
        name: 'Ld3mError',
        code: 'memory',
        message: expect.stringContaining(`${limit} bytes`),
      }),
    )
    expect(await take(tensor(device, [1]))).toEqual([1])
  })

  test('a grid beyond what the adapter launches says so', () => {
    const kernel = new Kernel('fine', '@compute @workgroup_size(1) fn main() {}')
    expect(() => device.dispatch(kernel.variant(), [], {}, [70_000, 1, 1])).toThrow(
      expect.objectContaining({ code: 'memory', message: expect.stringContaining('70000×1×1') }),
    )
  })

  test('a missing param is a mistake of the launch function', () => {
    const source = 'struct P { n: u32 }\n#params P\n@compute @workgroup_size(1) fn main() { _ = params.n; }'
    const kernel = new Kernel('needs', source)
    expect(() => device.dispatch(kernel.variant(), [], {}, [1, 1, 1])).toThrow(/param 'n' is missing/)
  })

  test('a buffer that is missing is, too, as is what is none', () => {
    const source =
      '@group(0) @binding(0) var<storage, read_write> out: array<f32>;\n@compute @workgroup_size(1) fn main() {}'
    const variant = new Kernel('binds', source).variant()
    expect(() => device.dispatch(variant, [], {}, [1, 1, 1])).toThrow(/Kernel binds has 1 bindings; 0 buffers came/)
    scope(() => {
      const x = tensor(device, [1])
      expect(() => device.dispatch(variant, [x as never], {}, [1, 1, 1])).toThrow(/for binding 0 came an object, not/)
    })
  })

  test('a second kernel of a name is refused', () => {
    expect(() => defineKernel('elementwise', '')).toThrow(
      expect.objectContaining({ code: 'option', message: expect.stringContaining("a kernel 'elementwise' already") }),
    )
  })

  test('a kernel that does not compile fails the next read, with the compiler’s words', async () => {
    const broken = await openDevice()
    const kernel = new Kernel('broken', '@compute @workgroup_size(1) fn main() { let x = nonsense; }')
    broken.dispatch(kernel.variant(), [], {}, [1, 1, 1])
    const x = tensor(broken, [1])
    await expect(x.read()).rejects.toThrow(/Kernel broken does not compile.*nonsense/s)
    broken.destroy()
  })

  test('a kernel that was compiled first shows the line that is wrong as it was written, and leaves the device usable', async () => {
    const lines = ['#include linear', '@compute @workgroup_size(1)', 'fn main() {', '  let x = nonsense;', '}']
    const variant = new Kernel('wrong', lines.join('\n')).variant()
    const error = await device.compile(variant).catch((e: unknown) => e)
    expect(error).toMatchObject({ name: 'Ld3mError', code: 'adapter' })
    expect((error as Error).message).toMatch(
      /nonsense.*, in 'let x = nonsense;'\. If the kernel is your own, correct it/,
    )
    expect(() => device.dispatch(variant, [], {}, [1, 1, 1])).toThrow(/Kernel wrong does not compile/)
    expect(device.usable).toBe(true)
    expect(await take(tensor(device, [1]))).toEqual([1])
    await device.compile(new Kernel('right', '@compute @workgroup_size(1) fn main() {}').variant())
  })

  test('a destroyed device fails every later call', async () => {
    const gone = await openDevice()
    const x = tensor(gone, [1])
    gone.destroy()
    await expect(x.read()).rejects.toThrow(/was destroyed/)
    expect(() => tensor(gone, [1])).toThrow(/was destroyed/)
    expect(() => x.write(Float32Array.of(1))).toThrow(/was destroyed/)
    expect(() => gone.clear(x.buffer, 4)).toThrow(/was destroyed/)
    x.dispose()
  })
})

test('an unknown option is an error', async () => {
  await expect(openDevice({ forceUniform: true } as object)).rejects.toThrow(/unknown option 'forceUniform'/)
})
