import { beforeAll, describe, expect, test } from 'vitest'
import { checkpoint, grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { testDevice } from '../support/device.ts'

const { add, div, exp, log, matmul, mul, reciprocal, reshape, square, sub, sum } = ops

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

async function value(body: () => Tensor): Promise<number> {
  const result = scope(body)
  const v = await result.item()
  result.dispose()
  return v
}

const leaf = (v: number, shape: number[] = []) => tensor(device, [v], { shape, requiresGrad: true })
const first = (y: Tensor, x: Tensor) => grad(y, [x])[0] as Tensor
const kept = (y: Tensor, x: Tensor) => grad(y, [x], { createGraph: true })[0] as Tensor

// Every way to write x·w. Where a spelling is not linear in itself, its pieces cancel.
const products: Record<string, (x: Tensor, w: Tensor) => Tensor> = {
  mul: (x, w) => mul(x, w),
  'mul, the other way round': (x, w) => mul(w, x),
  'a 1×1 matmul': (x, w) => reshape(matmul(reshape(x, [1, 1]), reshape(w, [1, 1])), []),
  'a sum of a product of vectors': (x, w) => sum(mul(reshape(x, [1]), reshape(w, [1]))),
  'a product with a broadcast': (x, w) => mul(sum(mul(tensor(device, [0.25, 0.75]), x)), w),
  'division by the reciprocal': (x, w) => div(x, reciprocal(w)),
  'exp of a sum of logarithms': (x, w) => exp(add(log(x), log(w))),
  'a difference of squares': (x, w) => mul(sub(square(add(x, w)), square(sub(x, w))), 0.25),
  'a checkpoint': (x, w) => checkpoint((a, b) => mul(a, b), [x, w]),
  'a checkpoint of the other order': (x, w) => checkpoint((a, b) => mul(b, a), [w, x]),
  'a concatenation': (x, w) => {
    const both = ops.concat([reshape(x, [1]), reshape(w, [1])], 0)
    return sum(mul(ops.slice(both, 0, 0, 1), ops.slice(both, 0, 1, 2)))
  },
  'a 1×1 convolution': (x, w) => sum(ops.conv2d(reshape(x, [1, 1, 1, 1]), reshape(w, [1, 1, 1, 1]))),
}

describe.each(Object.entries(products))('d²(x·w)/dx dw by %s is 1', (_, product) => {
  test('differentiating by x, then by w', async () => {
    expect(
      await value(() => {
        const [x, w] = [leaf(1.5), leaf(0.75)]
        return first(kept(product(x, w), x), w)
      }),
    ).toBeCloseTo(1, 5)
  })

  test('differentiating by w, then by x', async () => {
    expect(
      await value(() => {
        const [x, w] = [leaf(1.5), leaf(0.75)]
        return first(kept(product(x, w), w), x)
      }),
    ).toBeCloseTo(1, 5)
  })

  test('with x an argument of the inner function', async () => {
    // The spelling for which a tracer that mixes up its levels gives 0.
    const inner = (x: Tensor, w: Tensor) => kept(product(x, w), x)
    expect(
      await value(() => {
        const w = leaf(0.75)
        return first(inner(leaf(1.5), w), w)
      }),
    ).toBeCloseTo(1, 5)
  })

  test('with w closed over by the inner function', async () => {
    expect(
      await value(() => {
        const w = leaf(0.75)
        const slope = (x: Tensor) => kept(product(x, w), x)
        return first(slope(leaf(1.5)), w)
      }),
    ).toBeCloseTo(1, 5)
  })

  test('with the inner gradient taken in a scope of its own', async () => {
    expect(
      await value(() => {
        const [x, w] = [leaf(1.5), leaf(0.75)]
        const slope = scope(() => kept(product(x, w), x))
        return first(slope, w)
      }),
    ).toBeCloseTo(1, 5)
  })

  test('with the inner gradient weighted by the outer variable', async () => {
    // g = w·∂(x·w)/∂x = w², so that dg/dw = 2w.
    expect(
      await value(() => {
        const [x, w] = [leaf(1.5), leaf(0.75)]
        return first(mul(kept(product(x, w), x), w), w)
      }),
    ).toBeCloseTo(1.5, 5)
  })
})

describe('higher orders', () => {
  test('the third derivative of x⁴ is 24x, the fourth 24', async () => {
    const derivative = (order: number) =>
      value(() => {
        const x = leaf(1.5)
        let y = square(square(x))
        for (let i = 0; i < order; i++) y = kept(y, x)
        return y
      })
    expect(await derivative(1)).toBeCloseTo(13.5, 4)
    expect(await derivative(2)).toBeCloseTo(27, 4)
    expect(await derivative(3)).toBeCloseTo(36, 4)
    expect(await derivative(4)).toBeCloseTo(24, 4)
  })

  test('the third derivative of x⁴ is right through checkpoints', async () => {
    expect(
      await value(() => {
        const x = leaf(1.5)
        let y = checkpoint((a) => checkpoint((b) => square(square(b)), [a]), [x])
        for (let i = 0; i < 3; i++) y = kept(y, x)
        return y
      }),
    ).toBeCloseTo(36, 3)
  })

  test('an unrolled update of a student differentiates through all of its steps', async () => {
    // w ← w − η·dL/dw with L = (w − x)²/2 is w ← (1 − η)w + ηx: after n steps dw/dx = 1 − (1 − η)ⁿ.
    const steps = 5
    const eta = 0.3
    expect(
      await value(() => {
        const x = leaf(2)
        let w: Tensor = leaf(-1)
        for (let i = 0; i < steps; i++) w = sub(w, mul(kept(mul(square(sub(w, x)), 0.5), w), eta))
        return first(w, x)
      }),
    ).toBeCloseTo(1 - (1 - eta) ** steps, 5)
  })
})
