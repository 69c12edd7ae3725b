import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { norm } from '../samples/norm.ts'
import { checkForward, checkGradients, draw, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import type { NdArray } from '../support/ndarray.ts'

const attrs = { groups: 2, eps: 1e-3, activation: 'none' as const }

test('norms a group that 256 invocations share', async () => {
  const device = await testDevice()
  const c = { inputs: [{ shape: [2, 6, 53, 57] }, { shape: [6] }, { shape: [6] }], attrs }
  await checkForward(device, ops.groupNormOp, norm.groupNorm, c, 1)
  await checkGradients(device, ops.groupNormOp, norm.groupNorm, c, 2)
})

test('keeps its digits under a mean far larger than the spread', async () => {
  const device = await testDevice()
  const c = { inputs: [{ shape: [2, 4, 40], low: 1000, high: 1001 }], attrs }
  // One f32 step at 1000 is 6e-5, and values spread over 0.3: the inputs themselves carry the error, not the kernel.
  await checkForward(device, ops.groupNormOp, { ...norm.groupNorm, tolerance: 2e-4 }, c, 3)
})

test.each([
  [0, 'none'],
  [2, 'none'],
  [0, 'silu'],
  [1, 'silu'],
  [2, 'silu'],
] as const)(
  'has a third gradient that agrees with finite differences, with %d parameters and activation %s',
  async (params, activation) => {
    const device = await testDevice()
    const own = { ...attrs, activation }
    const shapes = [[2, 4, 5], [4], [4]].slice(0, 1 + params)
    const random = uniform(params + 5)
    const arrays = shapes.map((shape) => draw({ shape }, random))
    const directions = [0, 1, 2].map(() => shapes.map((shape) => draw({ shape, low: -1, high: 1 }, random)))
    const w = draw({ shape: shapes[0]! }, random)
    const loss = (steps: number[]): number => {
      const moved = arrays.map((x, k) => ({
        shape: x.shape,
        data: x.data.map((v, i) => v + steps.reduce((sum, s, d) => sum + s * directions[d]![k]!.data[i]!, 0)),
      }))
      return norm.groupNorm.reference(moved, own).data.reduce((sum, v, i) => sum + v * w.data[i]!, 0)
    }
    const h = 1e-3
    let expected = 0
    for (const a of [-1, 1])
      for (const b of [-1, 1]) for (const c of [-1, 1]) expected += a * b * c * loss([a * h, b * h, c * h])
    expected /= 8 * h ** 3

    const toTensor = (x: NdArray, requiresGrad = false) =>
      tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad })
    const result = scope(() => {
      const xs = arrays.map((x) => toTensor(x, true))
      const project = (gs: Tensor[], d: number) =>
        gs.map((g, k) => ops.sum(ops.mul(g, toTensor(directions[d]![k]!)))).reduce((a, b) => ops.add(a, b))
      let value = ops.sum(ops.mul(ops.groupNormOp.apply(xs, own), toTensor(w)))
      // Without activation the result is linear in the bias, which drops out at second order.
      for (const d of [0, 1, 2]) value = project(grad(value, xs, { createGraph: d < 2, allowUnused: true }), d)
      return value
    })
    expect(Math.abs((await result.item()) - expected)).toBeLessThan(1e-3 * Math.max(1, Math.abs(expected)))
  },
)

test('with relu in its kernel is relu of the norm, and so are its first three gradients', async () => {
  const device = await testDevice()
  const random = uniform(11)
  const arrays = [[3, 4, 5, 7], [4], [4]].map((shape) => draw({ shape }, random))
  const directions = arrays.map(({ shape }) => draw({ shape }, random))
  const toTensor = (x: NdArray) => tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad: true })
  const results = (f: (x: Tensor, weight: Tensor, bias: Tensor) => Tensor): Tensor[] =>
    scope(() => {
      const inputs = arrays.map(toTensor) as [Tensor, Tensor, Tensor]
      const along = directions.map(toTensor)
      const project = (gs: Tensor[]) => gs.map((g, k) => ops.sum(ops.mul(g, along[k]!))).reduce((a, b) => ops.add(a, b))
      const y = f(...inputs)
      const first = grad(ops.sum(ops.square(y)), inputs, { createGraph: true })
      const second = grad(project(first), inputs, { createGraph: true })
      // The directions are variables of the second gradients, too.
      const third = grad(project(second.map(ops.square)), [...inputs, ...along])
      return [y, ...first, ...second, ...third].map((t) => t.detach())
    })
  const options = { groups: 2, eps: attrs.eps }
  const fused = results((x, weight, bias) => ops.groupNorm(x, { ...options, weight, bias, activation: 'relu' }))
  const apart = results((x, weight, bias) => ops.relu(ops.groupNorm(x, { ...options, weight, bias })))
  for (const [k, t] of fused.entries()) {
    const expected = await apart[k]!.read()
    const most = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 0)
    for (const [i, v] of (await t.read()).entries()) expect(Math.abs(v - expected[i]!)).toBeLessThan(1e-5 * most)
  }
})

test('layer norm is a norm of each row, and instance norm of each channel', async () => {
  const device = await testDevice()
  const x = draw({ shape: [2, 3, 4] }, uniform(9))
  const [layer, instance] = scope(() => {
    const t = tensor(device, Float32Array.from(x.data), { shape: x.shape })
    return [ops.layerNorm(t), ops.instanceNorm(t)]
  }) as [Tensor, Tensor]
  const a = await layer.read()
  expect([...(await instance.read())]).toEqual([...a])
  for (let row = 0; row < 6; row++) {
    const values = a.slice(row * 4, row * 4 + 4)
    expect(values.reduce((s, v) => s + v, 0)).toBeCloseTo(0, 5)
    expect(values.reduce((s, v) => s + v * v, 0) / 4).toBeCloseTo(1, 3)
  }
})

test('says what is wrong with groups, parameters and options', async () => {
  const device = await testDevice()
  scope(() => {
    const x = tensor(device, new Float32Array(24), { shape: [1, 6, 4] })
    const four = tensor(device, new Float32Array(4))
    expect(() => ops.groupNorm(x, { groups: 4 })).toThrow(/4 groups do not divide 6 channels/)
    expect(() => ops.groupNorm(x, { groups: 2, weight: four })).toThrow(/weight: expected shape \[6\], got \[4\]/)
    expect(() => ops.layerNorm(x, { bias: four })).toThrow(/a bias but no weight/)
    expect(() => ops.instanceNorm(x, { epsilon: 1 } as object)).toThrow(/unknown option 'epsilon'/)
  })
})
