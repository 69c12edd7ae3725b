import { describe, expect, test } from 'vitest'
import { grad, keep, ops, planMemory, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { Adam, Ema, Sgd } from '../../src/optim/index.ts'
import { draw, expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

const SHAPES: Record<string, number[]> = { 'layer.weight': [5, 7], 'layer.bias': [3] }
const STEPS = 5

const drawAll = (seed: number, low = -1, high = 1): Record<string, Float64Array> => {
  const random = uniform(seed)
  return Object.fromEntries(Object.entries(SHAPES).map(([n, shape]) => [n, draw({ shape, low, high }, random).data]))
}

const upload = (device: Device, values: Record<string, Float64Array>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(values).map(([n, v]) => [
      n,
      tensor(device, Float32Array.from(v), { shape: SHAPES[n]!, requiresGrad: true }),
    ]),
  )

async function expectAll(
  tensors: Readonly<Record<string, Tensor>>,
  expected: Record<string, Float64Array>,
  what: string,
) {
  for (const [name, t] of Object.entries(tensors)) expectClose(await t.read(), expected[name]!, 3e-6, `${what} ${name}`)
}

/** PyTorch's rules, in float64. */
function sgdReference({ lr = 0.1, momentum = 0, weightDecay = 0, nesterov = false }) {
  const velocity: Record<string, Float64Array> = {}
  return (parameters: Record<string, Float64Array>, gradients: Record<string, Float64Array>, factor: number) => {
    for (const [name, p] of Object.entries(parameters)) {
      const d = gradients[name]!.map((g, i) => g + weightDecay * p[i]!)
      const v = (velocity[name] = velocity[name]?.map((v, i) => momentum * v + d[i]!) ?? d)
      const step = momentum === 0 ? d : nesterov ? d.map((g, i) => g + momentum * v[i]!) : v
      step.forEach((s, i) => {
        p[i]! -= lr * factor * s
      })
    }
  }
}

function adamReference({ lr = 0.1, betas = [0.9, 0.999] as readonly [number, number], eps = 1e-8, weightDecay = 0 }) {
  const state: Record<string, { m: Float64Array; v: Float64Array }> = {}
  let t = 0
  return (parameters: Record<string, Float64Array>, gradients: Record<string, Float64Array>, factor: number) => {
    t++
    for (const [name, p] of Object.entries(parameters)) {
      const { m, v } = (state[name] ??= { m: new Float64Array(p.length), v: new Float64Array(p.length) })
      p.forEach((value, i) => {
        const d = gradients[name]![i]! + weightDecay * value
        m[i] = betas[0] * m[i]! + (1 - betas[0]) * d
        v[i] = betas[1] * v[i]! + (1 - betas[1]) * d * d
        const denominator = Math.sqrt(v[i]!) / Math.sqrt(1 - betas[1] ** t) + eps
        p[i] = value - ((lr * factor) / (1 - betas[0] ** t)) * (m[i]! / denominator)
      })
    }
  }
}

describe("follow PyTorch's rules over several steps", () => {
  const cases = [
    ['plain SGD', Sgd, sgdReference, { lr: 0.1 }],
    ['SGD with momentum and weight decay', Sgd, sgdReference, { lr: 0.1, momentum: 0.9, weightDecay: 0.05 }],
    ['SGD with Nesterov momentum', Sgd, sgdReference, { lr: 0.05, momentum: 0.8, nesterov: true }],
    ['Adam', Adam, adamReference, { lr: 0.01 }],
    ['Adam with every option', Adam, adamReference, { lr: 0.02, betas: [0.5, 0.9], eps: 1e-3, weightDecay: 0.1 }],
  ] as const

  test.each(cases)('%s', async (_, Optimizer, makeReference, options) => {
    const device = await testDevice()
    const expected = drawAll(1)
    const update = makeReference(options as object)
    const parameters = upload(device, expected)
    const optimizer = new Optimizer(parameters, options as { lr: number })
    for (let step = 0; step < STEPS; step++) {
      const gradients = drawAll(10 + step)
      const factor = 1 / (1 + step)
      optimizer.lr = options.lr * factor
      update(expected, gradients, factor)
      scope(() => optimizer.step(upload(device, gradients)))
      await expectAll(parameters, expected, `step ${step}`)
    }
    optimizer.dispose()
  })
})

test.each([
  ['SGD', (p: Record<string, Tensor>) => new Sgd(p, { lr: 0.1, momentum: 0.9 })],
  ['Adam', (p: Record<string, Tensor>) => new Adam(p, { lr: 0.1 })],
])('%s goes on from a saved state as if it had never stopped', async (_, make) => {
  const device = await testDevice()
  const one = upload(device, drawAll(1))
  const a = make(one)
  for (let s = 0; s < 2; s++) scope(() => a.step(upload(device, drawAll(s))))
  const two = Object.fromEntries(
    await Promise.all(
      Object.entries(one).map(async ([n, p]) => [n, tensor(device, await p.read(), { shape: p.shape })] as const),
    ),
  )
  const b = make(two)
  b.loadStateDict(a.stateDict())
  if (a instanceof Adam && b instanceof Adam) b.stepCount = a.stepCount
  scope(() => a.step(upload(device, drawAll(7))))
  scope(() => b.step(upload(device, drawAll(7))))
  for (const name of Object.keys(one)) expect([...(await two[name]!.read())]).toEqual([...(await one[name]!.read())])
  a.dispose()
  b.dispose()
})

test('a live state can be loaded back', async () => {
  const device = await testDevice()
  const adam = new Adam(upload(device, drawAll(1)), { lr: 0.1 })
  scope(() => adam.step(upload(device, drawAll(2))))
  const mean = adam.stateDict()['layer.bias.exp_avg']!
  const before = [...(await mean.read())]
  adam.loadStateDict(adam.stateDict())
  expect([...(await mean.read())]).toEqual(before)
  adam.dispose()
})

test.each([false, true])('an average decays, with warm-up %s', async (warmup) => {
  const device = await testDevice()
  const start = drawAll(1)
  const parameters = upload(device, start)
  const ema = new Ema(parameters, { decay: 0.7, warmup })
  const expected = Object.fromEntries(Object.entries(start).map(([n, v]) => [n, v.slice()]))
  await expectAll(ema.average, expected, 'before')
  for (let k = 0; k < STEPS; k++) {
    const values = drawAll(20 + k)
    for (const [n, v] of Object.entries(values)) parameters[n]!.write(Float32Array.from(v))
    const decay = warmup ? Math.min(k / (k + 1), 0.7) : 0.7
    for (const [n, v] of Object.entries(expected)) {
      v.forEach((old, i) => {
        v[i] = decay * old + (1 - decay) * values[n]![i]!
      })
    }
    ema.update()
    await expectAll(ema.average, expected, `update ${k}`)
  }
  ema.dispose()
})

test('state survives the scope that the optimizer was made in, and dispose frees it', async () => {
  const device = await testDevice()
  const parameters = upload(device, drawAll(1))
  const before = device.memory.current
  const adam = scope(() => ({ adam: new Adam(parameters, { lr: 0.1 }) })).adam
  const ema = scope(() => ({ ema: new Ema(parameters, { decay: 0.5 }) })).ema
  scope(() => adam.step(upload(device, drawAll(2))))
  ema.update()
  expect(device.memory.current).toBeGreaterThan(before)
  adam.dispose()
  ema.dispose()
  expect(device.memory.current).toBe(before)
})

test('says which gradient or option is wrong', async () => {
  const device = await testDevice()
  scope(() => {
    const parameters = upload(device, drawAll(1))
    const sgd = new Sgd(parameters, { lr: 1 })
    expect(() => sgd.step({})).toThrow(/no gradient 'layer.weight'/)
    expect(() => sgd.step({ ...parameters, 'layer.bias': tensor(device, [1]) })).toThrow(/'layer.bias' has shape \[1\]/)
    expect(() => sgd.step(parameters)).toThrow(/shares the memory/)
    expect(() => sgd.step({ ...upload(device, drawAll(2)), other: tensor(device, [1]) })).toThrow(
      /'other' is of no known/,
    )
    for (const make of [Sgd, Adam]) {
      expect(() => new make(parameters, { lr: 1, weightDecay: undefined } as never).dispose()).not.toThrow()
    }
    expect(() => new Sgd(parameters, { lr: -1 })).toThrow(/lr is -1/)
    expect(() => new Sgd(parameters, { lr: 1, nesterov: true })).toThrow(/nesterov needs momentum/)
    expect(() => new Adam(parameters, { lr: 1, betas: [0.9, 1] })).toThrow(/beta is 1/)
    expect(() => new Ema(parameters, { decay: 1 })).toThrow(/decay is 1/)
  })
})

test('a plan of memory leaves optimizers and averages as they were', async () => {
  const device = await testDevice()
  const x = scope(() => keep(tensor(device, [1, 2], { requiresGrad: true })))
  const adam = new Adam({ x }, { lr: 0.1 })
  const ema = new Ema({ x }, { decay: 0.9, warmup: true })
  const step = () =>
    scope(() => {
      const [g] = grad(ops.sum(ops.square(x)), [x])
      adam.step({ x: g! })
      ema.update()
    })
  step()
  planMemory(device, () => {
    step()
    step()
  })
  expect([adam.stepCount, ema.updates]).toEqual([1, 1])
  step()
  expect([adam.stepCount, ema.updates]).toEqual([2, 2])
  adam.dispose()
  ema.dispose()
  x.dispose()
})
