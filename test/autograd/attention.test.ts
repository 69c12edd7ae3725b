import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { grad, ops, planMemory, random, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { attention } from '../samples/attention.ts'
import { checkForward, checkGradients, draw, expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

const spec = (shape: number[], size = 1) => ({ shape, low: -size, high: size })

test.each([
  ['64 columns', 40, 64],
  ['128 columns, two an invocation', 100, 128],
  ['1,024 columns in four parts', 1024, 1024],
  ['300 columns in two parts, unevenly', 30, 300],
])('gives outputs of %s, and their gradients', async (_, depth, width) => {
  const device = await testDevice()
  const c = {
    inputs: [spec([1, 18, depth]), spec([1, 34, depth]), spec([1, 34, width])],
    attrs: { scale: depth ** -0.5 },
  }
  await checkForward(device, ops.attentionOp, attention.attention, c, 1)
  await checkGradients(device, ops.attentionOp, attention.attention, c, 2)
  // Depth and width change places: the gradients with respect to q and k are as wide as the depth.
  const turned = { ...c, inputs: [spec([1, 18, width]), spec([1, 34, width]), spec([1, 34, depth])] }
  await checkGradients(device, ops.attentionOp, attention.attention, turned, 3)
})

test('stays exact where scores are large', async () => {
  const device = await testDevice()
  const c = { inputs: [spec([1, 5, 8], 30), spec([1, 70, 8], 30), spec([1, 70, 3])], attrs: { scale: 1 } }
  // Scores reach thousands, of which f32 keeps 1e-4, and the softmax turns that into a relative error.
  await checkForward(device, ops.attentionOp, { ...attention.attention, tolerance: 1e-3 }, c, 4)
})

test('with one key gives every query its value, exactly, and no gradient to the scores', async () => {
  const device = await testDevice()
  const random = uniform(5)
  const values = draw({ shape: [2, 1, 6] }, random)
  const [y, dq, dk, dv] = scope(() => {
    const q = tensor(device, Float32Array.from(draw({ shape: [2, 3, 4] }, random).data), { shape: [2, 3, 4] }).leaf()
    const k = tensor(device, Float32Array.from(draw({ shape: [2, 1, 4] }, random).data), { shape: [2, 1, 4] }).leaf()
    const v = tensor(device, Float32Array.from(values.data), { shape: [2, 1, 6] }).leaf()
    const out = ops.attention(q, k, v)
    return [out, ...grad(ops.sum(out), [q, k, v])]
  }) as [Tensor, Tensor, Tensor, Tensor]
  const read = await y.read()
  for (const [i, x] of read.entries()) expect(x).toBe(values.data[Math.floor(i / 18) * 6 + (i % 6)])
  expect((await dq.read()).every((x) => x === 0) && (await dk.read()).every((x) => x === 0)).toBe(true)
  expect((await dv.read()).every((x) => x === 3)).toBe(true)
})

test('gives the same bits each time', async () => {
  const device = await testDevice()
  const random = uniform(6)
  const arrays = [
    [2, 40, 8],
    [2, 40, 8],
    [2, 40, 8],
  ].map((shape) => draw({ shape }, random))
  const run = async () => {
    const gs = scope(() => {
      const xs = arrays.map((x) => tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad: true }))
      return grad(ops.sum(ops.square(ops.attention(...(xs as [Tensor, Tensor, Tensor])))), xs)
    })
    return Promise.all(gs.map(async (g) => [...(await g.read())]))
  }
  expect(await run()).toEqual(await run())
})

test('keeps what it saved for another gradient, in one kernel as a GPU runs it and in blocks', async () => {
  const hardware = await openDevice({ likeHardware: true })
  for (const device of [hardware, await testDevice()]) {
    const [first, second] = scope(() => {
      const [q, k, v] = [4, 3, 3].map((n, stream) => random.normal(device, [1, n, 8], { seed: 7, stream }).leaf())
      const y = ops.sum(ops.square(ops.attention(q as Tensor, k as Tensor, v as Tensor)))
      const gradients = () => ops.concat(grad(y, [q, k, v] as Tensor[], { retainGraph: true }), 1)
      return [gradients(), gradients()]
    }) as [Tensor, Tensor]
    expect([...(await second.read())]).toEqual([...(await first.read())])
  }
  hardware.destroy()
})

describe('as a GPU runs it', () => {
  let device: Device
  beforeAll(async () => {
    device = await openDevice({ likeHardware: true })
  })
  afterAll(() => device.destroy())

  /** The kernels that `run` launches, in order. */
  async function launchedBy(run: () => Promise<void>): Promise<string[]> {
    const names: string[] = []
    const dispatch = device.dispatch
    device.dispatch = (variant, ...rest) => {
      names.push(variant.kernel.name)
      dispatch.call(device, variant, ...rest)
    }
    try {
      await run()
    } finally {
      Reflect.deleteProperty(device, 'dispatch')
    }
    return names
  }

  const inputs = (batch: number, queries: number, keys: number, depth: number, width: number) => ({
    inputs: [spec([batch, queries, depth]), spec([batch, keys, depth]), spec([batch, keys, width])],
    attrs: { scale: depth ** -0.5 },
  })

  // Up to 32 keys are for the one kernel, more are blocks; 512 and more are shared by 64 lanes.
  const shapes = fc.tuple(
    fc.integer({ min: 1, max: 2 }),
    fc.constantFrom(16, 32, 70),
    fc.constantFrom(31, 32, 33, 64, 512),
  )
  const edges: [batch: number, queries: number, keys: number][] = [
    [1, 70, 512],
    [1, 70, 31],
    [1, 32, 32],
  ]

  test('agrees with float64, with its gradients, in one kernel and in blocks', async () => {
    const names = await launchedBy(() =>
      fc.assert(
        fc.asyncProperty(shapes, fc.nat(), async ([batch, queries, keys], seed) => {
          const c = inputs(batch, queries, keys, 32, 32)
          await checkForward(device, ops.attentionOp, attention.attention, c, seed)
          await checkGradients(device, ops.attentionOp, attention.attention, c, seed)
        }),
        { numRuns: 5, examples: edges.map((shape) => [shape, 1]) },
      ),
    )
    expect(names).toContain('attention')
    expect(names).toContain('attention_scores')
  })

  test('gives wide outputs of few keys, in several parts', async () => {
    const c = inputs(1, 18, 30, 20, 300)
    const names = await launchedBy(async () => {
      await checkForward(device, ops.attentionOp, attention.attention, c, 1)
      await checkGradients(device, ops.attentionOp, { ...attention.attention, order: 1 }, c, 2)
    })
    expect(names).not.toContain('attention_scores')
  })

  test.each([
    ['two blocks of queries', 1, 2500, 3500],
    ['two blocks of batch elements', 3, 2000, 1900],
  ])('agrees with float64 in %s, and with small blocks in its gradients', async (_, batch, queries, keys) => {
    const c = inputs(batch, queries, keys, 4, 4)
    const names = await launchedBy(() => checkForward(device, ops.attentionOp, attention.attention, c, 1))
    expect(names.filter((name) => name === 'attention_scores')).toHaveLength(2)
    const random = uniform(2)
    const arrays = c.inputs.map((own) => draw(own, random))
    const gradients = (device: Device) => {
      const gs = scope(() => {
        const xs = arrays.map((x) => tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad: true }))
        return grad(ops.sum(ops.square(ops.attentionOp.apply(xs, c.attrs))), xs)
      })
      return Promise.all(gs.map((g) => g.read()))
    }
    // A software adapter's are held to float64 by the generated tests.
    const expected = await gradients(await testDevice())
    for (const [i, found] of (await gradients(device)).entries())
      expectClose(found, expected[i]!, 1e-4, `gradient ${i}`)
  })

  test('takes memory for a block of scores, however long the sequences are', () => {
    const [batch, length, depth] = [4, 16_384, 32]
    const bytes = 4 * batch * length * depth
    const gradients = () => {
      const xs = [1, 2, 3].map((stream) => random.normal(device, [batch, length, depth], { seed: 1, stream }).leaf())
      return grad(ops.sum(ops.attention(...(xs as [Tensor, Tensor, Tensor]))), xs)
    }
    const { peakBytes, beforeBytes } = planMemory(device, () => scope(gradients))
    // Two blocks of 32 MiB and partial sums of one product, beside arrays of the inputs' size. All scores are 4 GiB.
    expect(peakBytes - beforeBytes).toBeLessThan(((3 * 32) << 20) + 12 * bytes)
  })
})

test('says which shapes and options it takes', async () => {
  const device = await testDevice()
  scope(() => {
    const t = (shape: number[]) => tensor(device, new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape })
    expect(() => ops.attention(t([1, 2, 3]), t([1, 2, 4]), t([1, 2, 3]))).toThrow(
      /q has shape \[1, 2, 3\], k \[1, 2, 4\]/,
    )
    expect(() => ops.attention(t([1, 2, 3]), t([1, 2, 3]), t([1, 2, 3]), { heads: 2 } as object)).toThrow(/'heads'/)
  })
})
