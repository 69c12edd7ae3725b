import fc from 'fast-check'
import { expect, test } from 'vitest'
import { grad, HostRandom, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import {
  ALL_AUGMENTATIONS,
  type Augmentation,
  type AugmentationStrategy,
  augment,
  drawAugmentation,
  parseStrategy,
} from '../../src/data/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { readGolden, valuesTensor } from '../support/golden.ts'

const goldens = readGolden<{ draw: Augmentation; output: number[] }[]>('augment.json')
const shape = [2, 3, 6, 7]
const name = (draw: Augmentation) => `${draw.op}, ${Object.values(draw)[1].length === 1 ? 'siamese' : 'per sample'}`
const cases = goldens.map(({ draw, output }) => [name(draw), draw, output] as const)

test.each(cases)('%s gives what PyTorch gives', async (_, draw, output) => {
  const device = await testDevice()
  const x = valuesTensor(device, 1, shape, -2, 2)
  const y = scope(() => augment(x, draw))
  expect(y.shape).toEqual(shape)
  expectClose(await y.read(), output, 1e-5, draw.op)
  x.dispose()
  y.dispose()
})

test.each(cases)('%s has first and second gradients', async (_, draw) => {
  const device = await testDevice()
  // Augmentations are affine, A(x) = Jx + A(0): the gradient of ½|A(x)|² along v is ⟨A(x), Jv⟩, and that slope's own
  // gradient along u is ⟨Ju, Jv⟩.
  const [first, firstExact, second, secondExact] = scope(() => {
    const [x, v, u] = [1, 2, 3].map((seed) => valuesTensor(device, seed, shape)) as [Tensor, Tensor, Tensor]
    const dot = (a: Tensor, b: Tensor) => ops.sum(ops.mul(a, b))
    const leaf = x.leaf()
    const half = ops.scale(ops.sum(ops.square(augment(leaf, draw))), 0.5)
    const slope = dot(grad(half, [leaf], { createGraph: true })[0]!, v)
    const curvature = dot(grad(slope, [leaf])[0]!, u)
    const offset = augment(ops.scale(x, 0), draw)
    const linear = (w: Tensor) => ops.sub(augment(w, draw), offset)
    return [slope, dot(augment(x, draw), linear(v)), curvature, dot(linear(u), linear(v))]
  }) as [Tensor, Tensor, Tensor, Tensor]
  // Sums of 252 products of numbers up to 2.
  expect(await first.item()).toBeCloseTo(await firstExact.item(), 3)
  expect(await second.item()).toBeCloseTo(await secondExact.item(), 3)
  for (const t of [first, firstExact, second, secondExact]) t.dispose()
})

test('one siamese draw does the same to batches of different sizes', async () => {
  const device = await testDevice()
  const random = new HostRandom({ seed: 3, stream: 0 })
  const one = valuesTensor(device, 1, [1, 3, 6, 7])
  const three = scope(() => ops.concat([one, one, one], 0))
  for (const op of ALL_AUGMENTATIONS) {
    const draw = drawAugmentation(random, { strategy: [op], size: [6, 7] })
    expect(draw.op).toBe(op)
    const [a, b] = scope(() => [augment(one, draw), augment(three, draw)] as const)
    const single = await a.read()
    expectClose(await b.read(), [...single, ...single, ...single], 1e-6, op)
    a.dispose()
    b.dispose()
  }
  one.dispose()
  three.dispose()
})

test('per-sample draws are siamese draws applied one by one', async () => {
  const device = await testDevice()
  const random = new HostRandom({ seed: 4, stream: 0 })
  const x = valuesTensor(device, 1, [4, 1, 8, 8])
  for (const op of ALL_AUGMENTATIONS) {
    const draw = drawAugmentation(random, { strategy: [op], size: 8, count: 4 })
    const each = Array.from({ length: 4 }, (_, i) =>
      Object.fromEntries(
        Object.entries(draw).map(([key, v]) => [key, key === 'op' || key === 'side' ? v : [(v as number[])[i]]]),
      ),
    ) as Augmentation[]
    const [together, apart] = scope(
      () =>
        [
          augment(x, draw),
          ops.concat(
            each.map((d, i) => augment(ops.slice(x, 0, i, i + 1), d)),
            0,
          ),
        ] as const,
    )
    expectClose(await together.read(), await apart.read(), 1e-5, op)
    together.dispose()
    apart.dispose()
  }
  x.dispose()
})

test('draws depend on the seed alone and stay in their ranges', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 4, max: 64 }), fc.integer({ min: 4, max: 64 }), (seed, h, w) => {
      const options = { size: [h, w], count: 8 } as const
      const draw = drawAugmentation(new HostRandom({ seed, stream: 1 }), options)
      expect(drawAugmentation(new HostRandom({ seed, stream: 1 }), options)).toEqual(draw)
      const within = (values: readonly number[], low: number, high: number) => {
        expect(values).toHaveLength(8)
        for (const value of values) {
          expect(value).toBeGreaterThanOrEqual(low)
          expect(value).toBeLessThanOrEqual(high)
        }
      }
      switch (draw.op) {
        case 'color':
          within(draw.brightness, -0.5, 0.5)
          within(draw.saturation, 0, 2)
          within(draw.contrast, 0.5, 1.5)
          break
        case 'crop':
          within(draw.down, -Math.round(h / 8), Math.round(h / 8))
          within(draw.right, -Math.round(w / 8), Math.round(w / 8))
          break
        case 'cutout': {
          const [rows, columns] = draw.side
          expect(draw.side).toEqual([Math.round(h / 2), Math.round(w / 2)])
          // The centre is in the image.
          within(draw.top, -Math.floor(rows / 2), h - Math.ceil(rows / 2))
          within(draw.left, -Math.floor(columns / 2), w - Math.ceil(columns / 2))
          break
        }
        case 'flip':
          within(draw.mirrored, 0, 1)
          break
        case 'scale':
          within([...draw.x], 1 / 1.2, 1.2)
          within([...draw.y], 1 / 1.2, 1.2)
          break
        case 'rotate':
          within(draw.angle, -Math.PI / 12, Math.PI / 12)
          break
      }
    }),
  )
})

test('each call draws one operation, all of the strategy in the long run', () => {
  const random = new HostRandom({ seed: 1, stream: 0 })
  const strategy = parseStrategy('crop_flip_rotate')
  const counts = new Map<string, number>()
  for (let i = 0; i < 300; i++) {
    const { op } = drawAugmentation(random, { strategy, size: 8 })
    counts.set(op, (counts.get(op) ?? 0) + 1)
  }
  expect([...counts.keys()].sort()).toEqual(['crop', 'flip', 'rotate'])
  // 100 each; 60 is five standard deviations below.
  for (const count of counts.values()) expect(count).toBeGreaterThan(60)
})

test('no strategy is no augmentation', async () => {
  const device = await testDevice()
  expect(parseStrategy('none')).toEqual([])
  const draw = drawAugmentation(new HostRandom({ seed: 1, stream: 0 }), { strategy: [], size: 2 })
  const x = tensor(device, [1, 2, 3, 4], { shape: [1, 1, 2, 2] })
  const y = augment(x, draw)
  expect([...(await y.read())]).toEqual([1, 2, 3, 4])
  x.dispose()
  y.dispose()
})

test('mistakes are named at the door', async () => {
  const device = await testDevice()
  expect(() => parseStrategy('color_jitter')).toThrow(/unknown augmentation 'jitter'.*color, crop/)
  const untyped = 'color' as unknown as AugmentationStrategy
  expect(() => drawAugmentation(new HostRandom({ seed: 0, stream: 0 }), { strategy: untyped, size: 8 })).toThrow(
    /the augmentation is 'color'\. Pass an array/,
  )
  expect(() => drawAugmentation(new HostRandom({ seed: 0, stream: 0 }), {} as never)).toThrow(/size is undefined/)
  const random = new HostRandom({ seed: 1, stream: 0 })
  expect(() => drawAugmentation(random, { strategy: ['zoom' as 'crop'], size: 8 })).toThrow(
    /unknown augmentation 'zoom'/,
  )
  expect(() => drawAugmentation(random, { size: 8, count: 0 })).toThrow(/count is 0/)
  const x = valuesTensor(device, 1, [2, 1, 4, 4])
  expect(() => augment(x, drawAugmentation(random, { size: 4, count: 3 }))).toThrow(/draw is for 3 samples, x has 2/)
  expect(() => augment(ops.reshape(x, [2, 16]), { op: 'none' })).toThrow(/augment: x: expected shape \[N, C, H, W\]/)
  x.dispose()
})
