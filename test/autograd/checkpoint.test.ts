import { beforeAll, describe, expect, test } from 'vitest'
import { checkpoint, grad, ops, random, scope, type Tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

const { add, matmul, mul, sum, tanh } = ops

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const normal = (shape: number[], stream: number) => random.normal(device, shape, { seed: 1, stream }).leaf()

/** Two layers with a shortcut. */
const block = (x: Tensor, w: Tensor) => add(x, tanh(matmul(tanh(matmul(x, w)), w)))

type Run = (f: (...xs: Tensor[]) => Tensor, xs: Tensor[]) => Tensor
const plain: Run = (f, xs) => f(...xs)

/** Gradients of a small network, and of a function of these gradients. */
async function gradients(run: Run, createGraph: boolean): Promise<number[][]> {
  const results = scope(() => {
    const [x, w] = [normal([4, 6], 0), normal([6, 6], 1)]
    const y = run(block, [run(block, [x, w]), w])
    const gs = grad(sum(mul(y, y)), [x, w], { createGraph })
    if (!createGraph) return gs
    const norm = gs.map((g) => sum(mul(g, g))).reduce((a, b) => add(a, b))
    return [...gs, ...grad(norm, [x, w])]
  })
  const out: number[][] = []
  for (const t of results) {
    out.push([...(await t.read())])
    t.dispose()
  }
  return out
}

const nested: Run = (f, xs) => checkpoint((...inner) => checkpoint(f, inner), xs)

describe('checkpoint', () => {
  describe.each([
    ['one', checkpoint],
    ['a nested one', nested],
  ] as const)('%s', (_, run) => {
    test.each([
      ['first', false],
      ['second', true],
    ] as const)('gives the %s gradients of the function itself', async (_, createGraph) => {
      const before = device.memory.current
      const actual = await gradients(run, createGraph)
      const expected = await gradients(plain, createGraph)
      expected.forEach((array, i) => {
        // Not bit for bit: gradients that meet at one tensor are added in another order.
        expectClose(actual[i]!, array, 1e-6, `gradient ${i}`)
      })
      expect(device.memory.current).toBe(before)
    })
  })

  test('lowers the peak of memory', () => {
    const peak = (run: Run) => {
      const before = device.memory.current
      device.resetPeak()
      scope(() => {
        let x = normal([64, 64], 0)
        const w = normal([64, 64], 1)
        const layer = (h: Tensor, v: Tensor) => {
          for (let i = 0; i < 8; i++) h = scope(() => tanh(add(mul(h, h), mul(h, v))))
          return h
        }
        for (let i = 0; i < 8; i++) x = scope(() => run(layer, [x, w]))
        grad(sum(x), [w])
      })
      expect(device.memory.current).toBe(before)
      return device.memory.peak - before
    }
    // 476 kB of 1,180; 426 where nothing is fused: chains hold their sources a little longer (see Pinned).
    expect(peak(checkpoint)).toBeLessThan(0.42 * peak(plain))
  })

  test('takes inputs without gradients, of any type', async () => {
    const [g] = scope(() => {
      const x = normal([3, 5], 0)
      const labels = ops.argmax(normal([3, 5], 1), 1)
      return grad(
        checkpoint((a, b) => ops.crossEntropy(a, b), [x, labels]),
        [x],
      )
    }) as [Tensor]
    const rows = await g.read()
    expect(Math.abs(rows.reduce((a, b) => a + b, 0))).toBeLessThan(1e-6)
    g.dispose()
  })

  test('is the plain function where nothing needs a gradient', () => {
    scope(() => {
      const y = checkpoint((x) => tanh(x), [normal([3], 0).detach()])
      expect(y.requiresGrad).toBe(false)
    })
  })

  test('refuses a function that closes over what needs a gradient', () => {
    scope(() => {
      const [x, w] = [normal([2, 2], 0), normal([2, 2], 1)]
      const product = tanh(w)
      const closure = /closes over a tensor that requires a gradient/
      for (const createGraph of [false, true]) {
        const y = sum(checkpoint((a) => matmul(a, w), [x]))
        expect(() => grad(y, [x], { createGraph })).toThrow(closure)
        const z = sum(checkpoint((a) => matmul(a, product), [x]))
        expect(() => grad(z, [x], { createGraph })).toThrow(/a result of 'tanh'/)
        const inside = sum(checkpoint((a) => checkpoint((b) => matmul(b, w), [a]), [x]))
        expect(() => grad(inside, [x], { createGraph })).toThrow(closure)
      }
      const detached = sum(checkpoint((a) => matmul(a, w.detach()), [x]))
      expect(grad(detached, [x])).toHaveLength(1)
    })
  })

  test("may give one of its inputs, or a tensor from outside, which stays the caller's", async () => {
    const before = device.memory.current
    const [x, constant] = scope(() => [normal([3], 0), normal([3], 1).detach()]) as [Tensor, Tensor]
    for (const createGraph of [false, true]) {
      const [g, zero] = scope(() => [
        ...grad(sum(checkpoint((a) => a, [x])), [x], { createGraph }),
        ...grad(sum(checkpoint(() => constant, [x])), [x], { createGraph, allowUnused: true }),
      ]) as [Tensor, Tensor]
      expect([...(await g.read())]).toEqual([1, 1, 1])
      expect([...(await zero.read())]).toEqual([0, 0, 0])
      for (const t of [g, zero]) t.dispose()
    }
    expect([x.disposed, constant.disposed]).toEqual([false, false])
    for (const t of [x, constant]) t.dispose()
    expect(device.memory.current).toBe(before)
  })

  test('frees what it saved with the backward pass', () => {
    scope(() => {
      const x = normal([2], 0)
      const y = sum(checkpoint((a) => tanh(a), [x]))
      grad(y, [x])
      expect(() => grad(y, [x])).toThrow(/was freed/)
    })
  })
})
