// Peaks of memory, by plan: test/autograd/plan.test.ts shows that these are what a run needs.
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { checkpoint, grad, ops, planMemory, random, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { applyModule, convNet, initialize } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const normal = (shape: number[]) => random.normal(device, shape, { seed: 1, stream: 0 })

test('an op that does not fit says which and how large, and leaves no memory behind', () => {
  const { maxStorageBufferBindingSize, maxBufferSize } = device.handle.limits
  // The square of the smallest even number of rows whose product no buffer holds.
  const n = 2 * (Math.floor(Math.sqrt(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4) / 2) + 1)
  scope(() => {
    const a = normal([n, 5])
    const before = device.memory.current
    // Both factors are padded before memory for the product is asked for.
    const product = () => ops.matmul(a, a, { transposeB: true })
    expect(product).toThrow(
      `matmul: [${n}, 5] and [${n}, 5] to [${n}, ${n}] is too large. A tensor of ${4 * n * n} bytes`,
    )
    expect(product).toThrow(expect.objectContaining({ code: 'memory' }))
    expect(device.memory.current).toBe(before)
  })
})

interface Chain {
  readonly blocks: number
  readonly batch: number
  readonly channels: number
  readonly size: number
}

/** What one block needs: [first weight, second weight, scale, shift]. */
const parametersOf = ({ channels: c }: Chain): Tensor[] =>
  [[c, c, 3, 3], [c, c, 3, 3], [c], [c]].map((shape) => normal(shape).leaf())

/** A residual block of the UNet's kind. The graph must keep four maps of it: x and what enters the other three ops. */
const block = (x: Tensor, ...[first, second, weight, bias]: Tensor[]) => {
  const norm = (h: Tensor) => ops.groupNorm(h, { groups: 4, weight, bias, activation: 'silu' })
  const h = ops.conv2d(norm(x), first as Tensor, { padding: 1 })
  return ops.add(x, ops.conv2d(norm(h), second as Tensor, { padding: 1 }))
}
const MAPS_KEPT = 4

type Run = (x: Tensor, parameters: Tensor[][]) => Tensor

const plain: Run = (x, parameters) => parameters.reduce((h, p) => scope(() => block(h, ...p)), x)
const perBlock: Run = (x, parameters) => parameters.reduce((h, p) => checkpoint(block, [h, ...p]), x)
const halves: Run = (x, parameters) => {
  if (parameters.length === 1) return checkpoint(block, [x, ...(parameters[0] as Tensor[])])
  const each = (parameters[0] as Tensor[]).length
  return checkpoint(
    (h, ...flat) => {
      const split = Array.from({ length: flat.length / each }, (_, i) => flat.slice(i * each, (i + 1) * each))
      const middle = split.length / 2
      return halves(halves(h, split.slice(0, middle)), split.slice(middle))
    },
    [x, ...parameters.flat()],
  )
}

/** Bytes of one map [batch, channels, size, size], as buffers count. */
const mapBytes = ({ batch, channels, size }: Chain) =>
  planMemory(device, () => normal([batch, channels, size, size])).peakBytes - device.memory.current
const parameterBytes = (chain: Chain) => planMemory(device, () => parametersOf(chain)).peakBytes - device.memory.current

/** The peak of the chain's forward and backward passes. */
function peakOf(chain: Chain, run: Run): number {
  const { batch, channels, size, blocks } = chain
  const plan = planMemory(device, () => {
    const x = normal([batch, channels, size, size]).leaf()
    const parameters = Array.from({ length: blocks }, () => parametersOf(chain))
    return grad(ops.sum(scope(() => run(x, parameters))), [x, ...parameters.flat()])
  })
  return plan.peakBytes - plan.beforeBytes
}

const chains = fc.record({
  blocks: fc.constantFrom(2, 4, 8, 16),
  batch: fc.integer({ min: 4, max: 16 }),
  channels: fc.constantFrom(8, 12, 16, 24),
  size: fc.constantFrom(16, 24, 32),
})

describe('a chain of residual blocks', () => {
  test('needs no more than 1.3 times what its graph must keep and the gradients that are alive', () => {
    fc.assert(
      fc.property(chains, (chain) => {
        const [map, parameters] = [mapBytes(chain), parameterBytes(chain)]
        // The chain's result and, at the last block, the gradient that arrives and the one that leaves.
        const maps = chain.blocks * MAPS_KEPT + 3
        // Every parameter has a gradient in the end.
        const must = maps * map + 2 * chain.blocks * parameters
        expect(peakOf(chain, plain) / must).toBeLessThan(1.3)
      }),
      { numRuns: 30 },
    )
  })

  test('needs, with a checkpoint a block, its blocks’ inputs and a constant number of maps', () => {
    fc.assert(
      fc.property(chains, (chain) => {
        const [map, parameters] = [mapBytes(chain), parameterBytes(chain)]
        // Parameters, their gradients, and the weights in the orders that forward and backward convolutions read.
        const perBlockBytes = map + 4 * parameters
        const inside = (blocks: number) => peakOf({ ...chain, blocks }, perBlock) - blocks * perBlockBytes
        expect(inside(16)).toBeLessThanOrEqual(inside(4) + 0.1 * map)
        expect(inside(16) / map).toBeLessThan(MAPS_KEPT + 6)
      }),
      { numRuns: 10 },
    )
  })

  test('needs, with checkpoints of halves of halves, less than two more maps for twice the blocks', () => {
    const chain = { batch: 8, channels: 8, size: 32, blocks: 16 }
    const [map, parameters] = [mapBytes(chain), parameterBytes(chain)]
    const maps = (blocks: number, run: Run) => (peakOf({ ...chain, blocks }, run) - 4 * blocks * parameters) / map
    for (const blocks of [4, 8, 16]) {
      expect(maps(2 * blocks, halves) - maps(blocks, halves)).toBeLessThan(2)
    }
  })
})

test('a chain of frozen convolutions keeps nothing for the gradient of its input', () => {
  const peak = (length: number) => {
    const chain = { blocks: length, batch: 4, channels: 8, size: 32 }
    const plan = planMemory(device, () => {
      const x = normal([4, 8, 32, 32]).leaf()
      const weight = normal([8, 8, 3, 3])
      const y = scope(() => {
        let h: Tensor = x
        for (let i = 0; i < length; i++) {
          const before = h
          h = scope(() => ops.mul(ops.conv2d(before, weight, { padding: 1 }), 0.5))
          if (before !== x) before.dispose()
        }
        return h
      })
      return grad(ops.sum(y), [x])
    })
    return (plan.peakBytes - plan.beforeBytes) / mapBytes(chain)
  }
  expect(peak(16)).toBe(peak(4))
})

describe('the squared norm of a student’s gradient, and its gradient', () => {
  interface Case {
    readonly batch: number
    readonly width: number
    readonly size: number
    readonly depth: number
    readonly of: 'images' | 'images and weights'
  }

  /**
   * What the graph of the gradient must keep of each block: what enters its convolution, what enters its norm, and the
   * gradients that arrive at both results.
   */
  const mustKeep = ({ batch, width, size, depth }: Case) => {
    let bytes = 0
    for (let d = 0; d < depth; d++) {
      const map = (channels: number) => mapBytes({ batch, channels, size: size / 2 ** d, blocks: depth })
      bytes += map(d === 0 ? 1 : width) + 3 * map(width)
    }
    return bytes
  }

  function peakOf({ batch, width, size, depth, of }: Case): { peak: number; parameters: number } {
    const student = convNet({ channels: 1, size, classes: 10, depth, width })
    let parameters = 0
    const plan = planMemory(device, () => {
      const labels = tensor(device, new Int32Array(batch))
      const start = device.memory.current
      const state = initialize(device, student, { seed: 0 })
      parameters = device.memory.current - start
      const weights = Object.values(state)
      const images = normal([batch, 1, size, size]).leaf()
      const gradients = grad(ops.crossEntropy(applyModule(student, state, images), labels), weights, {
        createGraph: true,
      })
      const norm = gradients.map((g) => ops.sum(ops.square(g))).reduce((a, b) => ops.add(a, b))
      return grad(norm, of === 'images' ? [images] : [images, ...weights], { allowUnused: true })
    })
    return { peak: plan.peakBytes - plan.beforeBytes, parameters }
  }

  test('need no more than 1.3 times what the graph must keep', () => {
    const cases = fc.record({
      batch: fc.integer({ min: 16, max: 64 }),
      width: fc.constantFrom(16, 32),
      size: fc.constantFrom(16, 32),
      depth: fc.constantFrom(2, 3),
      of: fc.constantFrom('images' as const, 'images and weights' as const),
    })
    fc.assert(
      fc.property(cases, (c) => {
        const { peak, parameters } = peakOf(c)
        // The parameters, their first and second gradients, and the weights in the order that convolutions read.
        expect(peak / (mustKeep(c) + 4 * parameters)).toBeLessThan(1.3)
      }),
      { numRuns: 30 },
    )
  })
})
