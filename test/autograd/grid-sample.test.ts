import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { gridSample as samples } from '../samples/grid-sample.ts'
import { draw, expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

test('the identity map samples every pixel at its place', async () => {
  const device = await testDevice()
  const x = draw({ shape: [2, 3, 5, 7] }, uniform(1))
  const y = scope(() => {
    const theta = tensor(device, [1, 0, 0, 0, 1, 0], { shape: [1, 2, 3] })
    return ops.gridSample2d(
      tensor(device, Float32Array.from(x.data), { shape: x.shape }),
      ops.affineGrid(theta, [5, 7]),
    )
  })
  expectClose(await y.read(), x.data, 1e-6, 'identity')
})

test('an affine grid is theta times (x, y, 1), of each sample', async () => {
  const device = await testDevice()
  const thetas = [
    [0.5, -0.2, 0.1, 0.3, 0.9, -0.4],
    [1, 2, 3, 4, 5, 6],
  ]
  const [h, w] = [3, 2] as const
  const grid = scope(() => ops.affineGrid(tensor(device, thetas.flat(), { shape: [2, 2, 3] }), [h, w]))
  expect(grid.shape).toEqual([2, h, w, 2])
  const expected = thetas.flatMap((t) =>
    [-1, 0, 1].flatMap((y) => [-1, 1].flatMap((x) => [t[0]! * x + t[1]! * y + t[2]!, t[3]! * x + t[4]! * y + t[5]!])),
  )
  expectClose(await grid.read(), expected, 1e-6, 'grid')
})

test('the adjoint of a rotation by a large grid is its transpose, with the same bits each time', async () => {
  const device = await testDevice()
  const random = uniform(2)
  const [x, g] = [draw({ shape: [3, 3, 40, 50] }, random), draw({ shape: [3, 3, 33, 61] }, random)]
  const run = () =>
    scope(() => {
      const theta = [0.3, -1, 2.5].flatMap((a) => [Math.cos(a), -Math.sin(a), 0.1, Math.sin(a), 1.3 * Math.cos(a), 0])
      const image = tensor(device, Float32Array.from(x.data), { shape: x.shape, requiresGrad: true })
      const y = ops.gridSample2d(image, ops.affineGrid(tensor(device, theta, { shape: [3, 2, 3] }), [33, 61]))
      const gradOutput = tensor(device, Float32Array.from(g.data), { shape: g.shape })
      return [y, ...grad(y, [image], { gradOutput })]
    }) as [Tensor, Tensor]
  const [y, dx] = run()
  const gradient = await dx.read()
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((s, v, i) => s + v * b[i]!, 0)
  const [left, right] = [dot(await y.read(), g.data), dot(x.data, gradient)]
  // Of some 18,000 products of size 1, each rounded to 6e-8.
  expect(Math.abs(left - right)).toBeLessThan(1e-3)
  expect([...(await run()[1].read())]).toEqual([...gradient])
})

test.each([
  [4, 5, 9],
  [8, 5, 128],
  [16, 13, 128],
  // Teams take several pixels, one after the other.
  [8, 5, 260],
])(
  'lanes of a GPU that share a pixel give the adjoint, %i planes at most: %i planes of %i² pixels',
  async (most, planes, size) => {
    const device = await openDevice({ likeHardware: true })
    const launched = new Set<unknown>()
    const dispatch = device.dispatch.bind(device)
    device.dispatch = (variant, ...rest) => {
      if (variant.kernel.name === 'grid_sample_adjoint_shared') launched.add(4 * Number(variant.constants.VECTORS))
      dispatch(variant, ...rest)
    }
    const random = uniform(3)
    const g = draw({ shape: [1, planes, 13, 21] }, random)
    const grid = draw({ shape: [1, 13, 21, 2], low: -1.2, high: 1.2 }, random)
    const run = async () => {
      const adjoint = scope(() =>
        ops.gridSampleAdjointOp.apply(
          [g, grid].map((x) => tensor(device, Float32Array.from(x.data), { shape: x.shape })),
          { dx: false, dy: false, size: [size, size] },
        ),
      )
      return adjoint.read()
    }
    const found = await run()
    const attrs = { dx: false, dy: false, size: [size, size] as [number, number] }
    expectClose(found, samples.gridSampleAdjoint.reference([g, grid], attrs).data, 1e-4, 'adjoint')
    const again = await run()
    expect(found.every((x, i) => x === again[i])).toBe(true)
    expect([...launched]).toEqual([most])
    device.destroy()
  },
)

test('says which shapes it takes', async () => {
  const device = await testDevice()
  scope(() => {
    const x = tensor(device, new Float32Array(24), { shape: [2, 3, 2, 2] })
    const grid = tensor(device, new Float32Array(6), { shape: [3, 1, 1, 2] })
    expect(() => ops.gridSample2d(x, grid)).toThrow(/x has shape \[2, 3, 2, 2\], the grid \[3, 1, 1, 2\]/)
    expect(() => ops.affineGrid(x, [2, 2])).toThrow(/theta has shape/)
    expect(() => ops.affineGrid(tensor(device, new Float32Array(6), { shape: [1, 2, 3] }), [2, 0])).toThrow(/size is/)
  })
})
