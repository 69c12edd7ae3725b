import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { grad, ops, random, scope, type Tensor } from '../../src/autograd/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

// A finite difference cannot keep away from the kinks of the activation, so the fused form is compared with separate ops.

interface Parts {
  readonly bias: boolean
  readonly residual: boolean
  readonly activation: 'relu' | undefined
}

const parts: fc.Arbitrary<Parts> = fc.record({
  bias: fc.boolean(),
  residual: fc.boolean(),
  activation: fc.constantFrom('relu' as const, undefined),
})

/** Result, first gradients and second gradients (of the sum of squares of the first) with respect to all inputs. */
async function derivatives(inputs: readonly Tensor[], f: (xs: readonly Tensor[]) => Tensor): Promise<Float32Array[]> {
  const results = scope(() => {
    const xs = inputs.map((x) => x.leaf())
    const y = f(xs)
    const first = grad(ops.sum(ops.mul(y, ops.sin(y))), xs, { createGraph: true })
    const second = grad(
      first.map((g) => ops.sum(ops.square(g))).reduce((a, b) => ops.add(a, b)),
      xs,
      { allowUnused: true },
    )
    return [y, ...first, ...second]
  })
  const read = await Promise.all(results.map((t) => t.read()))
  for (const t of results) t.dispose()
  return read
}

async function compare(
  shapes: { factors: readonly (readonly number[])[]; bias: readonly number[]; result: readonly number[] },
  { bias, residual, activation }: Parts,
  product: (a: Tensor, b: Tensor, epilogue: object) => Tensor,
  biasShape: readonly number[],
): Promise<void> {
  const device = await testDevice()
  const all = [...shapes.factors, ...(bias ? [shapes.bias] : []), ...(residual ? [shapes.result] : [])]
  const inputs = all.map((shape, i) => random.normal(device, shape, { seed: i, stream: 7 }))
  const named = (xs: readonly Tensor[]) => ({
    ...(bias ? { bias: xs[2] as Tensor } : {}),
    ...(residual ? { residual: xs.at(-1) as Tensor } : {}),
  })
  const fused = await derivatives(inputs, (xs) => product(xs[0]!, xs[1]!, { ...named(xs), activation }))
  const separate = await derivatives(inputs, (xs) => {
    const { bias, residual } = named(xs)
    let y = product(xs[0]!, xs[1]!, {})
    if (bias) y = ops.add(y, ops.reshape(bias, biasShape))
    if (residual) y = ops.add(y, residual)
    return activation ? ops.relu(y) : y
  })
  fused.forEach((x, i) => {
    expectClose(x, separate[i]!, 1e-4, `array ${i}`)
  })
  for (const x of inputs) x.dispose()
}

describe('a bias, a residual and an activation in the kernel equal separate ops to the second gradient', () => {
  test('after a convolution', async () => {
    const sizes = fc.record({ o: fc.constantFrom(3, 17), size: fc.constantFrom(4, 5), stride: fc.constantFrom(1, 2) })
    await fc.assert(
      fc.asyncProperty(parts, sizes, async (epilogue, { o, size, stride }) => {
        const out = Math.floor((size - 1) / stride) + 1
        const shapes = {
          factors: [
            [2, 3, size, size],
            [o, 3, 3, 3],
          ],
          bias: [o],
          result: [2, o, out, out],
        }
        const product = (a: Tensor, b: Tensor, e: object) => ops.conv2d(a, b, { stride, padding: 1, ...e })
        await compare(shapes, epilogue, product, [o, 1, 1])
      }),
      { numRuns: 12 },
    )
  })

  test('after a matrix product, also one whose inner dimension is split', async () => {
    const sizes = fc.record({ m: fc.constantFrom(3, 20), n: fc.constantFrom(4, 7), k: fc.constantFrom(5, 600) })
    await fc.assert(
      fc.asyncProperty(parts, sizes, async (epilogue, { m, n, k }) => {
        const shapes = {
          factors: [
            [2, m, k],
            [k, n],
          ],
          bias: [n],
          result: [2, m, n],
        }
        const scaled = (a: Tensor, b: Tensor, e: object) => ops.matmul(ops.affine(a, k ** -0.5, 0), b, e)
        await compare(shapes, epilogue, scaled, [n])
      }),
      { numRuns: 12 },
    )
  })
})

test('an epilogue that does not fit is an error that names it', async () => {
  const device = await testDevice()
  scope(() => {
    const t = (...shape: number[]) => random.normal(device, shape, { seed: 1, stream: 0 })
    const x = t(1, 2, 4, 4)
    expect(() => ops.conv2d(x, t(3, 2, 1, 1), { residual: t(1, 3, 4, 5) })).toThrow(/conv2d: residual/)
    expect(() => ops.matmul(t(2, 3, 4), t(4, 5), { residual: t(2, 3, 4) })).toThrow(/matmul: residual/)
    expect(() => ops.matmul(t(3, 4), t(4, 5), { activation: 'gelu' as 'relu' })).toThrow(/unknown activation 'gelu'/)
  })
})
