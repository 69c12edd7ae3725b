import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkpoint, grad, noGrad, ops, scope, type Tensor, tensor, zeros } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { Adam, Ema, Sgd } from '../../src/optim/index.ts'
import { expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

const { add, affine, exp, mul, relu, sigmoid, silu, square, sub, sum, tanh } = ops

let device: Device
/** The same adapter, where every op runs at once. */
let plain: Device
beforeAll(async () => {
  device = await testDevice()
  plain = await openDevice({ fuse: false })
})
afterAll(() => plain.destroy())

/** Labels of what `body` dispatches. */
function dispatched(body: () => void, on = device): string[] {
  const labels: string[] = []
  const { dispatch } = on
  on.dispatch = (variant, ...rest) => {
    labels.push(variant.label)
    dispatch.call(on, variant, ...rest)
  }
  try {
    body()
  } finally {
    Reflect.deleteProperty(on, 'dispatch')
  }
  return labels
}

/** Asks for the elements, as an op that is not elementwise does. */
const ask = (...xs: Tensor[]) => {
  for (const x of xs) x.buffer
}

/** Reads and disposes. */
async function take(x: Tensor): Promise<number[]> {
  const data = [...(await x.read())]
  x.dispose()
  return data
}

describe('a chain of elementwise ops', () => {
  test('is one launch, when its result is asked for', () => {
    scope(() => {
      const [x, w] = [tensor(device, [1, 2, 3]), tensor(device, [4])]
      let y = x
      expect(dispatched(() => (y = silu(add(mul(affine(x, 2, 1), w), x))))).toEqual([])
      expect(dispatched(() => ask(y))).toEqual(['elementwise[affine·mul·add·silu]'])
      expect(dispatched(() => ask(y))).toEqual([])
    })
  })

  test('is as many launches as ops on a device that does not fuse', () => {
    scope(() => {
      const x = tensor(plain, [1, 2, 3])
      const labels = dispatched(() => silu(mul(affine(x, 2, 1), x)), plain)
      expect(labels).toEqual(['elementwise[affine]', 'elementwise[mul]', 'elementwise[silu]'])
    })
  })

  test('whose result nobody asks for never runs, and takes no memory', () => {
    const x = tensor(device, [1, 2, 3])
    const before = device.memory.current
    device.resetPeak()
    expect(dispatched(() => scope(() => silu(mul(x, x))))).toEqual([])
    expect(device.memory.peak).toBe(before)
    x.dispose()
  })

  test('goes through aliases, reshapes and detached tensors', async () => {
    const y = scope(() => {
      const x = tensor(device, [1, 2, 3, 4], { shape: [2, 2], requiresGrad: true })
      const bias = tensor(device, [10, 20])
      const y = affine(ops.reshape(add(x, bias).detach(), [4]).alias(), 2, 0)
      expect(dispatched(() => ask(y))).toEqual(['elementwise[add·affine]'])
      return y
    })
    expect(await take(y)).toEqual([22, 44, 26, 48])
  })

  test('keeps equal sources and equal steps once', () => {
    scope(() => {
      const x = tensor(device, [1, 2])
      const twice = add(mul(x, 3), mul(x, 3))
      expect(dispatched(() => ask(twice))).toEqual(['elementwise[affine·add]'])
      const pre = affine(x, 2, 1)
      const swish = mul(pre, sigmoid(pre))
      expect(dispatched(() => ask(swish))).toEqual(['elementwise[affine·sigmoid·mul]'])
    })
  })

  test('that two others consume is computed for the second', async () => {
    const x = tensor(device, [1, 2])
    const results: Tensor[] = []
    const labels = dispatched(() => {
      const shared = affine(x, 2, 0)
      results.push(exp(shared), square(shared), affine(shared, 1, 1))
      shared.dispose()
      ask(...results)
    })
    expect(labels).toEqual([
      'elementwise[affine]',
      'elementwise[affine·exp]',
      'elementwise[square]',
      'elementwise[affine]',
    ])
    const [a, b, c] = results as [Tensor, Tensor, Tensor]
    expectClose(await take(a), [Math.exp(2), Math.exp(4)], 1e-5, 'exp')
    expect(await take(b)).toEqual([4, 16])
    expect(await take(c)).toEqual([3, 5])
    x.dispose()
  })

  test('is cut where one launch cannot hold it', async () => {
    const count = 9
    const xs = Array.from({ length: count }, (_, i) => tensor(device, [i + 1, 1]))
    let y: Tensor = xs[0] as Tensor
    const labels = dispatched(() => {
      y = scope(() => xs.reduce((a, b) => add(a, b)))
      ask(y)
    })
    expect(labels).toEqual(['elementwise[add·add·add·add·add]', 'elementwise[add·add·add]'])
    expect(await take(y)).toEqual([45, count])
    for (const x of xs) x.dispose()
    const start = tensor(device, [1])
    let z: Tensor = start
    const steps = dispatched(() => {
      z = scope(() => {
        let z: Tensor = start
        for (let i = 0; i < 20; i++) z = square(affine(z, 1, 0))
        return z
      })
      ask(z)
    })
    expect(Math.max(...steps.map((label) => label.split('·').length))).toBe(8)
    expect(await take(z)).toEqual([1])
    start.dispose()
  })

  test('does not repeat what is broadcast later', () => {
    scope(() => {
      const [x, bias] = [zeros(device, [4, 8]), zeros(device, [8])]
      const y = add(x, exp(bias))
      expect(dispatched(() => ask(y))).toEqual(['elementwise[add]'])
      const z = mul(ops.broadcastTo(bias, [4, 8]), x)
      expect(dispatched(() => ask(z))).toEqual(['elementwise[mul]'])
    })
  })

  test('accumulates gradients in one launch', () => {
    scope(() => {
      const x = tensor(device, [1, 2, 3], { requiresGrad: true })
      const y = [1, 2, 3, 4].map((k) => ops.matmul(ops.reshape(x, [1, 3]), zeros(device, [3, k])))
      const total = y.map((t) => sum(t)).reduce((a, b) => add(a, b))
      const labels = dispatched(() => ask(...grad(total, [x])))
      expect(labels.filter((label) => label.startsWith('elementwise[add'))).toEqual(['elementwise[add·add·add]'])
    })
  })
})

// Each writes to the memory of the tensor x = [1, 2] before what was computed from it is asked for.
const writers: Record<string, (x: Tensor) => void> = {
  'Tensor.write': (x) => x.write(Float32Array.of(9, 9)),
  'a write through an alias': (x) => scope(() => x.alias().write(Float32Array.of(9, 9))),
  'a write through a reshaped tensor': (x) => scope(() => ops.reshape(x, [2, 1]).write(Float32Array.of(9, 9))),
  'Device.upload': (x) => x.device.upload(x.buffer, Float32Array.of(9, 9)),
  'Device.clear': (x) => x.device.clear(x.buffer, 8),
  'Device.copy': (x) => scope(() => x.device.copy(tensor(x.device, [9, 9]).buffer, 0, x.buffer, 0, 8)),
  Sgd: (x) => scope(() => new Sgd({ x }, { lr: 1 }).step({ x: tensor(x.device, [9, 9]) })),
  Adam: (x) => {
    const adam = new Adam({ x }, { lr: 1 })
    scope(() => adam.step({ x: tensor(x.device, [9, 9]) }))
    adam.dispose()
  },
  'Ema.loadStateDict': (x) => {
    const ema = new Ema({ x }, { decay: 0.5 })
    const y = affine(ema.average.x as Tensor, 1, 0)
    scope(() => ema.loadStateDict({ x: tensor(x.device, [9, 9]) }))
    ask(y)
    x.device.copy(y.buffer, 0, x.buffer, 0, 8)
    y.dispose()
    ema.dispose()
  },
}

describe.each(Object.entries(writers))('%s', (name, write) => {
  test('leaves what was computed from the old elements as it was', async () => {
    const x = tensor(device, [1, 2])
    const single = affine(x, 10, 0)
    const [inner, chained, disposed] = [affine(x, 2, 0), affine(x, 3, 0), affine(x, 4, 0)]
    const outer = mul(inner, x)
    disposed.dispose()
    const labels = dispatched(() => write(x))
    // Computed by the write, not by what asks later.
    expect(dispatched(() => ask(single, inner, outer, chained))).toEqual([])
    expect(labels.filter((label) => label.startsWith('elementwise')).length).toBeGreaterThanOrEqual(4)
    expect(await take(single)).toEqual([10, 20])
    expect(await take(inner)).toEqual([2, 4])
    expect(await take(outer)).toEqual([2, 8])
    expect(await take(chained)).toEqual([3, 6])
    if (name !== 'Ema.loadStateDict') expect(await x.read()).not.toEqual(Float32Array.of(1, 2))
    const after = affine(x, 1, 0)
    expect(await take(after)).toEqual([...(await x.read())])
    x.dispose()
  })
})

test('a write to a tensor that is yet to be computed leaves its consumers as they were', async () => {
  const x = tensor(device, [1, 2])
  const y = affine(x, 2, 0)
  const z = affine(y, 1, 1)
  y.write(Float32Array.of(7, 7))
  expect(await take(z)).toEqual([3, 5])
  expect(await take(y)).toEqual([7, 7])
  x.dispose()
})

test('training in place is the same with and without fusion', async () => {
  const train = async (on: Device) => {
    const before = on.memory.current
    const w = tensor(on, [0.5, -0.25, 1], { requiresGrad: true })
    const sgd = new Sgd({ w }, { lr: 0.1, momentum: 0.9 })
    const ema = new Ema({ w }, { decay: 0.5 })
    const kept: Tensor[] = []
    for (let i = 0; i < 12; i++) {
      kept.push(scope(() => noGrad(() => tanh(affine(w, i, 0.1)))))
      scope(() => sgd.step({ w: grad(sum(square(sub(silu(w), 0.3))), [w])[0] as Tensor }))
      ema.update()
      kept.push(scope(() => mul(ema.average.w as Tensor, w.detach())))
    }
    const values = []
    for (const t of kept) values.push(...(await take(t)))
    values.push(...(await w.read()))
    for (const t of [w, sgd, ema]) t.dispose()
    expect(on.memory.current).toBe(before)
    return values
  }
  expectClose(await train(device), await train(plain), 1e-6, 'values')
})

describe('memory', () => {
  const KB = 256 // elements of 1 kB

  test('of sources is kept for chains, and goes with them', async () => {
    const before = device.memory.current
    const x = zeros(device, [KB])
    const y = affine(x, 1, 1)
    x.dispose()
    expect(device.memory.current - before).toBe(1024)
    const z = affine(y, 2, 0)
    y.dispose()
    expect(device.memory.current - before).toBe(1024)
    ask(z)
    expect(device.memory.current - before).toBe(1024)
    expect((await take(z))[0]).toBe(2)
    scope(() => zeros(device, [KB])).dispose()
    scope(() => affine(zeros(device, [KB]), 1, 0)).dispose()
    expect(device.memory.current).toBe(before)
  })

  test('that chains hold beyond their results stays within the allowance', async () => {
    const before = device.memory.current
    const bytes = 300 << 10
    const results: Tensor[] = []
    for (let i = 0; i < 10; i++) {
      results.push(
        scope(() => {
          const [a, b, c] = [1, 2, 3].map((v) => ops.fill(device, [bytes / 4], v)) as [Tensor, Tensor, Tensor]
          return add(mul(a, b), c)
        }),
      )
      // Run at once, there would be the results alone.
      const excess = device.memory.current - before - results.length * 320 * 1024
      expect(excess).toBeLessThanOrEqual((1 << 20) + 320 * 1024)
    }
    for (const y of results) {
      expect((await y.read())[7]).toBe(5)
      y.dispose()
    }
    expect(device.memory.current).toBe(before)
  })

  test('is not held by a chain of thousands of ops', () => {
    const before = device.memory.current
    device.resetPeak()
    scope(() => {
      let x: Tensor = zeros(device, [KB])
      for (let i = 0; i < 3000; i++) x = scope(() => affine(x, 1, 1))
      return x
    }).dispose()
    expect(device.memory.current).toBe(before)
  })
})

describe('numbers', () => {
  // Expressions of up to six ops over dense, broadcast and scalar sources.
  const SHAPES = [
    [[2, 4, 8], [4, 1], [1], [2, 1, 8]],
    [[3, 5, 7], [5, 1], [7], [3, 1, 1]],
    [
      [2, 3, 4, 2],
      [3, 1, 2],
      [1, 3, 1, 1],
      [2, 1, 4, 1],
    ],
    [[64], [1], [64], []],
  ]
  type Make = (a: Tensor, b: Tensor) => Tensor
  const FUNCTIONS: Make[] = [
    (a, b) => add(a, b),
    (a, b) => mul(a, b),
    (a, b) => sub(a, b),
    (a) => affine(a, 0.5, 0.25),
    (a) => silu(a),
    (a) => ops.gelu(a),
    (a) => tanh(a),
    (a) => relu(a),
    (a) => ops.sin(a),
    (a) => ops.clamp(a, -0.7, 0.9),
    (a, b) => ops.maximum(a, b),
    (a) => square(tanh(a)),
  ]
  const plans = fc.record({
    shapes: fc.constantFrom(...SHAPES),
    steps: fc.array(fc.tuple(fc.nat(FUNCTIONS.length - 1), fc.nat(40), fc.nat(40)), { minLength: 1, maxLength: 6 }),
    seed: fc.nat(),
  })

  test('are those of ops that run one by one, with first and second gradients', async () => {
    await fc.assert(
      fc.asyncProperty(plans, async ({ shapes, steps, seed }) => {
        const run = async (on: Device, f: (body: (...xs: Tensor[]) => Tensor, xs: Tensor[]) => Tensor) => {
          const random = uniform(seed)
          const results = scope(() => {
            const xs = shapes.map((shape) => {
              const count = shape.reduce((n, d) => n * d, 1)
              const data = Float32Array.from({ length: count }, () => random() * 2 - 1)
              return tensor(on, data, { shape, requiresGrad: true })
            })
            const body = (...xs: Tensor[]) => {
              const values = [...xs]
              for (const [k, i, j] of steps) {
                const [a, b] = [values[i % values.length], values[j % values.length]] as [Tensor, Tensor]
                values.push((FUNCTIONS[k] as Make)(a, b))
              }
              return add(values.at(-1) as Tensor, values[0] as Tensor)
            }
            const y = f(body, xs)
            const first = grad(sum(mul(y, y)), xs, { createGraph: true, allowUnused: true })
            const slope = first.map((g) => sum(square(g))).reduce((a, b) => add(a, b))
            const second = slope.requiresGrad ? grad(slope, xs, { allowUnused: true }) : []
            return [y, ...first, ...second]
          })
          const data = []
          for (const t of results) data.push(await take(t))
          return data
        }
        const expected = await run(plain, (body, xs) => body(...xs))
        for (const f of [(body: (...xs: Tensor[]) => Tensor, xs: Tensor[]) => body(...xs), checkpoint]) {
          const actual = await run(device, f)
          expect(actual.length).toBe(expected.length)
          for (const [i, data] of expected.entries()) expectClose(actual[i] as number[], data, 1e-4, `result ${i}`)
        }
      }),
      { numRuns: 8 },
    )
  })
})
