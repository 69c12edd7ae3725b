import { beforeAll, describe, expect, test } from 'vitest'
import {
  checkpoint,
  grad,
  keep,
  ops,
  planMemory,
  random,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { applyModule, convNet, disposeState, initialize, unet } from '../../src/models/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { Adam, Sgd } from '../../src/optim/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const normal = (shape: number[], stream = 0, on = device) => random.normal(on, shape, { seed: 1, stream })

/** Fails unless the plan of `body` is what running it gives; `body` is run in a scope. */
function expectExact(body: () => unknown, on = device): void {
  const before = on.memory
  const plan = planMemory(on, body)
  expect(on.memory).toEqual(before)
  expect(plan.beforeBytes).toBe(before.current)
  expect(plan.atPeak.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(plan.peakBytes)
  on.resetPeak()
  scope(() => {
    body()
    expect({ peak: on.memory.peak, after: on.memory.current }).toEqual({
      peak: plan.peakBytes,
      after: plan.afterBytes,
    })
  })
}

const student = convNet({ channels: 1, size: 16, classes: 10, depth: 2, width: 16 })
const lossOf = (state: Readonly<Record<string, Tensor>>, images: Tensor, labels: Tensor) =>
  ops.crossEntropy(applyModule(student, state, images), labels)
const labelsOf = (count: number) =>
  tensor(
    device,
    Int32Array.from({ length: count }, (_, i) => i % 10),
  )

describe('a memory plan is what the run then needs', () => {
  test('a step of training, again and again', () => {
    const state = initialize(device, student, { seed: 0 })
    const [images, labels] = [normal([6, 1, 16, 16]), labelsOf(6)]
    const optimizer = new Sgd(state, { lr: 0.1, momentum: 0.9 })
    const names = Object.keys(state)
    for (let step = 0; step < 3; step++) {
      expectExact(() => {
        const gradients = grad(lossOf(state, images, labels), Object.values(state))
        optimizer.step(Object.fromEntries(names.map((name, i) => [name, gradients[i] as Tensor])))
      })
    }
    optimizer.dispose()
    disposeState(state)
    for (const t of [images, labels]) t.dispose()
  })

  test('an optimizer made on the way', () => {
    const state = initialize(device, student, { seed: 0 })
    expectExact(() => {
      const optimizer = new Adam(state, { lr: 0.1 })
      const gradients = scope(() => grad(lossOf(state, normal([2, 1, 16, 16]), labelsOf(2)), Object.values(state)))
      optimizer.step(Object.fromEntries(Object.keys(state).map((name, i) => [name, gradients[i] as Tensor])))
      optimizer.dispose()
    })
    disposeState(state)
  })

  test('gradient matching, of second order', () => {
    const state = initialize(device, student, { seed: 0 })
    const weights = Object.values(state)
    expectExact(() => {
      const images = normal([4, 1, 16, 16]).leaf()
      const real = scope(() => grad(lossOf(state, normal([8, 1, 16, 16], 1), labelsOf(8)), weights))
      const synthetic = grad(lossOf(state, images, labelsOf(4)), weights, { createGraph: true })
      const distance = synthetic
        .map((g, i) => ops.sum(ops.square(ops.sub(g, real[i] as Tensor))))
        .reduce((a, b) => ops.add(a, b))
      return grad(distance, [images])
    })
    disposeState(state)
  })

  test('a chain of checkpoints', () => {
    expectExact(() => {
      const w = normal([32, 32], 1).leaf()
      const block = (x: Tensor, v: Tensor) => ops.add(x, ops.tanh(ops.matmul(ops.tanh(ops.matmul(x, v)), v)))
      let x = normal([64, 32])
      for (let i = 0; i < 8; i++) x = scope(() => checkpoint(block, [x, w]))
      return grad(ops.sum(x), [w])
    })
  })

  test('a UNet', () => {
    const denoiser = unet({
      ...{ inChannels: 2, modelChannels: 8, channelMult: [1, 2], numResBlocks: 1, attentionLevels: [1] },
      ...{ contextDim: 6, numHeads: 1, groups: 2 },
    })
    const state = initialize(device, denoiser, { seed: 0 })
    expectExact(() => {
      const [z, context] = [normal([2, 2, 8, 8]).leaf(), normal([2, 1, 6], 1)]
      const y = applyModule(denoiser, state, z, ops.fill(device, [2], 500), context)
      return grad(ops.sum(ops.square(y)), [z, ...Object.values(state)], { allowUnused: true })
    })
    disposeState(state)
  })

  test('what a GPU shares, in parts, in blocks, and in one kernel', async () => {
    const hardware = await openDevice({ likeHardware: true })
    const of = (...shape: number[]) => normal(shape, 0, hardware).leaf()
    const gradients = (y: Tensor, ...xs: Tensor[]) => grad(ops.sum(ops.square(y)), xs)
    const attention = (batch: number, queries: number, keys: number) => () => {
      const [q, k, v] = [of(batch, queries, 8), of(batch, keys, 8), of(batch, keys, 8)]
      return gradients(ops.attention(q, k, v), q, k, v)
    }
    const bodies: Record<string, () => unknown> = {
      'sums and searches in parts': () => [ops.sum(of(100_001)), ops.sum(of(3000, 3), 0), ops.argmax(of(3000, 3), 0)],
      'additions to rows': () => {
        const table = of(7, 5)
        return gradients(ops.gather(table, tensor(hardware, Int32Array.of(1, 6, 1))), table)
      },
      'a norm over samples': () => {
        const [x, weight, bias] = [of(600, 4), of(4), of(4)]
        return gradients(ops.groupNorm(x, { groups: 1, weight, bias }), x, weight, bias)
      },
      'one kernel': attention(2, 20, 20),
      'batch elements in a block': attention(2, 20, 50),
      'blocks of queries': attention(1, 2500, 3500),
      'a codebook': () => ops.vectorQuantize(of(1, 3, 4, 4), of(300, 3)),
      sampling: () => {
        const x = of(1, 9, 12, 12)
        return gradients(ops.gridSample2d(x, of(1, 12, 12, 2)), x)
      },
    }
    for (const body of Object.values(bodies)) expectExact(body, hardware)
    await hardware.synchronize()
    hardware.destroy()
  })

  test('tensors from outside that are freed, with what is derived from them', () => {
    // Twice the same: one is freed by the plan, one by the run.
    const outside = [0, 1].map(() => {
      const [x, w] = [normal([1, 4, 8, 8]), normal([4, 4, 3, 3])]
      ops.conv2d(x, w, { padding: 1 }).dispose()
      return [x, w]
    })
    const body = ([x, w]: Tensor[]) => {
      x!.dispose()
      ops.conv2d(normal([1, 4, 16, 16]), w!)
      w!.dispose()
      normal([100])
    }
    const before = device.memory.current
    const plan = planMemory(device, () => body(outside[0]!))
    const freed = before - device.memory.current
    expect(freed).toBeGreaterThan(0)
    device.resetPeak()
    const start = device.memory.current
    scope(() => {
      body(outside[1]!)
      expect(device.memory.peak - start).toBe(plan.peakBytes - plan.beforeBytes)
      expect(device.memory.current - start).toBe(plan.afterBytes - plan.beforeBytes)
    })
    expect(start - device.memory.current).toBe(freed)
  })
})

test('a plan changes no element, compiles nothing and keeps what was derived', async () => {
  const own = await openDevice()
  let compiled = 0
  const { createComputePipelineAsync } = own.handle
  own.handle.createComputePipelineAsync = (descriptor) => {
    compiled++
    return createComputePipelineAsync.call(own.handle, descriptor)
  }
  const x = tensor(own, [1, 2, 3], { requiresGrad: true })
  const optimizer = new Sgd({ x }, { lr: 1 })
  const version = x.buffer.version
  let derived = 0
  const derive = () =>
    own.derive(x.buffer, 'test', () => {
      derived++
      return own.alloc(4)
    })
  derive()
  planMemory(own, () => {
    x.write(Float32Array.of(7, 8, 9))
    optimizer.step({ x: grad(ops.sum(ops.square(x)), [x])[0] as Tensor })
    zeros(own, [3])
    derive()
    own.flush()
  })
  expect({ compiled, version: x.buffer.version }).toEqual({ compiled: 0, version })
  expect(derived).toBe(2)
  derive()
  expect(derived).toBe(2)
  expect([...(await x.read())]).toEqual([1, 2, 3])
  own.destroy()
})

test('a plan says what the peak consists of', () => {
  const { atPeak, peakBytes, beforeBytes } = planMemory(device, () => {
    const x = normal([1024])
    const y = scope(() => ops.matmul(ops.reshape(x, [32, 32]), ops.reshape(x, [32, 32])))
    ops.sum(y)
    tensor(device, [1])
  })
  expect(atPeak.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(peakBytes - beforeBytes)
  expect(atPeak.map(({ kernel }) => kernel.replace(/_tiled$/, ''))).toEqual(['random', 'matmul', 'reduce', 'upload'])
  expect(atPeak[0]).toEqual({ kernel: 'random', buffers: 1, bytes: 4096 })
})

describe('errors', () => {
  test('nothing can be read back or waited for within', () => {
    const before = device.memory
    const x = tensor(device, [1])
    expect(() => planMemory(device, () => void x.read())).toThrow(/reads a tensor back/)
    expect(() => planMemory(device, () => void device.synchronize())).toThrow(/waits for the device/)
    expect(() => planMemory(device, () => void device.profile(() => 1))).toThrow(/takes a profile/)
    expect(() => planMemory(device, async () => 1)).toThrow(/returned a promise/)
    expect(() => planMemory(device, () => planMemory(device, () => 1))).toThrow(/do not nest/)
    x.dispose()
    expect(device.memory.current).toBe(before.current)
  })

  test('a body that throws ends its plan', () => {
    const before = device.memory
    const fail = () => {
      normal([5])
      throw new Error('on purpose')
    }
    expect(() => planMemory(device, fail)).toThrow('on purpose')
    expect(device.memory).toEqual(before)
  })

  test('a buffer too large for the adapter is refused as in a run', () => {
    const limit = device.handle.limits.maxStorageBufferBindingSize
    expect(() => planMemory(device, () => device.alloc(limit + 4))).toThrow(expect.objectContaining({ code: 'memory' }))
  })

  test('a tensor kept beyond its plan cannot be used, and can be disposed', async () => {
    let kept: Tensor | undefined
    planMemory(device, () => {
      kept = keep(normal([3]))
    })
    expect(() => scope(() => ops.exp(kept!).buffer)).toThrow(/a memory plan was used after it/)
    await expect(kept!.read()).rejects.toThrow(/a memory plan was used after it/)
    const before = device.memory
    kept!.dispose()
    expect(device.memory).toEqual(before)
  })
})
