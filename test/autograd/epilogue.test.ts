import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
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

describe('what a skip carries back is added in the kernel of the gradient that it joins', () => {
  const conv = (x: Tensor, kernel: Tensor) => ops.conv2d(x, kernel, { padding: 1 })
  const norm = (x: Tensor, options: Omit<ops.GroupNormOptions, 'groups'>) => ops.groupNorm(x, { groups: 2, ...options })
  const activation = 'silu'

  /** Name, branch of x, a 3×3 kernel and more vectors, and the number of these. */
  test.each<[string, (x: Tensor, kernel: Tensor, ...more: Tensor[]) => Tensor, number]>([
    ['of a convolution', (x, kernel) => norm(conv(x, kernel), { activation }), 0],
    ['of a norm', (x, kernel) => conv(norm(x, {}), kernel), 0],
    ['of a norm with a weight', (x, kernel, weight) => conv(norm(x, { weight }), kernel), 1],
    ['of a norm with parameters', (x, kernel, weight, bias) => conv(norm(x, { weight, bias }), kernel), 2],
    ['of a norm and SiLU', (x, kernel) => conv(norm(x, { activation }), kernel), 0],
    ['of a norm with a weight and SiLU', (x, kernel, weight) => conv(norm(x, { weight, activation }), kernel), 1],
    ['of a norm with parameters and SiLU', (x, k, weight, bias) => conv(norm(x, { weight, bias, activation }), k), 2],
  ])('%s', async (_, branch, vectors) => {
    const device = await testDevice()
    const shapes = [[2, 4, 5, 6], [4, 4, 3, 3], [4], [4]].slice(0, 2 + vectors)
    const inputs = shapes.map((shape, i) => random.normal(device, shape, { seed: i, stream: 3 }))
    const block = (skip: Tensor, [x, kernel, ...more]: readonly Tensor[]) =>
      ops.add(skip, branch(x as Tensor, kernel as Tensor, ...more))

    const launched = scope(() => {
      const xs = inputs.map((x) => x.leaf())
      const x = xs[0] as Tensor
      const y = block(x, xs)
      y.buffer
      const dispatch = vi.spyOn(device, 'dispatch')
      for (const g of grad(y, [x], { gradOutput: x.detach() })) g.buffer
      const labels = dispatch.mock.calls.map(([variant]) => variant.label)
      dispatch.mockRestore()
      return labels
    })
    expect(launched.length).toBeGreaterThan(1)
    expect(launched.filter((label) => label.startsWith('elementwise'))).toEqual([])

    const joined = await derivatives(inputs, (xs) => block(xs[0] as Tensor, xs))
    // What is older than the branch is visited after it: nothing has arrived from the skip when the branch's comes.
    const apart = await derivatives(inputs, (xs) => block(ops.scale(xs[0] as Tensor, 1), xs))
    joined.forEach((x, i) => {
      expectClose(x, apart[i]!, 1e-4, `array ${i}`)
    })
    for (const x of inputs) x.dispose()
  })

  test('and flows on where only other gradients of that kernel are differentiated', async () => {
    const device = await testDevice()
    const along = (whole: boolean) => {
      const result = scope(() => {
        const x = random.normal(device, [2, 4, 3, 3], { seed: 1, stream: 3 }).leaf()
        const weight = random.normal(device, [4], { seed: 2, stream: 3 }).leaf()
        const y = ops.add(norm(x, { weight }), x)
        const [ofX, ofWeight] = grad(ops.sum(ops.square(y)), [x, weight], { createGraph: true }) as [Tensor, Tensor]
        const value = ops.sum(ops.square(ofWeight))
        return grad(whole ? ops.add(value, ops.mul(ops.sum(ofX), 0)) : value, [x])[0] as Tensor
      })
      return result.read().finally(() => result.dispose())
    }
    expectClose(await along(false), await along(true), 1e-6, 'gradient')
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
