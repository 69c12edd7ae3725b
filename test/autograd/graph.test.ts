import { beforeAll, describe, expect, test } from 'vitest'
import {
  checkpoint,
  defineOp,
  grad,
  noGrad,
  ops,
  scope,
  type Tensor,
  tensor,
  type Vjp,
} from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { unary } from '../../src/kernels/index.ts'
import { Sgd } from '../../src/optim/index.ts'
import { testDevice } from '../support/device.ts'

const { add, exp, mul, square, sum } = ops

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const leaf = (...data: number[]) => tensor(device, data, { requiresGrad: true })

/** Reads the tensors that a scope returns, and disposes them. */
async function values(body: () => Tensor[]): Promise<number[][]> {
  const results = scope(body)
  const out: number[][] = []
  for (const t of results) {
    out.push([...(await t.read())])
    t.dispose()
  }
  return out
}

const graphError = expect.objectContaining({ name: 'Ld3mError', code: 'graph' })
const shapeError = expect.objectContaining({ name: 'Ld3mError', code: 'shape' })

describe('grad', () => {
  test('adds up what arrives at a tensor that is used twice', async () => {
    const [g] = await values(() => {
      const x = leaf(3, -1)
      return grad(sum(add(mul(x, exp(mul(x, 0))), square(x))), [x])
    })
    expect(g).toEqual([7, -1]) // x + x²: 1 + 2x
  })

  test('of a tensor with respect to itself is one', async () => {
    expect(
      await values(() => {
        const x = leaf(5)
        return grad(x, [x])
      }),
    ).toEqual([[1]])
  })

  test('takes intermediate results as targets, together with what they come from', async () => {
    const [gx, gy] = await values(() => {
      const x = leaf(2)
      const y = square(x)
      return grad(mul(y, y), [x, y])
    })
    expect(gx).toEqual([32]) // x⁴: 4x³
    expect(gy).toEqual([8]) // y²: 2y
  })

  test('names the same input twice if asked to', async () => {
    expect(
      await values(() => {
        const x = leaf(2)
        return grad(square(x), [x, x])
      }),
    ).toEqual([[4], [4]])
  })

  test('weighs the outputs by gradOutput, which can itself be differentiated', async () => {
    const [g, second] = await values(() => {
      const x = leaf(1, 2, 3)
      const gradOutput = leaf(1, 10, 100)
      const [g] = grad(square(x), [x], { gradOutput, createGraph: true }) as [Tensor]
      return [g, ...grad(sum(g), [gradOutput])]
    })
    expect(g).toEqual([2, 40, 600])
    expect(second).toEqual([2, 4, 6])
  })

  test('of or with respect to a disposed tensor is an error, also where inputs may be unused', () => {
    scope(() => {
      const [x, other] = [leaf(1), leaf(2)]
      const y = sum(square(x))
      other.dispose()
      const disposed = /was used after it was disposed/
      expect(() => grad(y, [other], { allowUnused: true })).toThrow(disposed)
      y.dispose()
      expect(() => grad(y, [x], { allowUnused: true })).toThrow(disposed)
      expect(() => grad(y, [x])).toThrow(disposed)
    })
  })

  test('through an op that has no gradient alone says which, and why', () => {
    const own = defineOp<Record<never, never>>({
      name: 'own',
      shape: ([x]) => x!.shape,
      forward: (device, [x]) => unary(device, 'SQUARE', x!.buffer, x!.size),
      saves: [],
      vjp: { none: 'because' },
    })
    scope(() => {
      const x = leaf(1, 2)
      const floor = /'floor' has no gradient: constant almost everywhere\. Compute y without it/
      expect(() => grad(sum(ops.floor(x)), [x])).toThrow(floor)
      expect(() => grad(sum(ops.reshape(ops.floor(square(x)), [2, 1])), [x])).toThrow(floor)
      expect(() => grad(sum(own.apply([x], {})), [x])).toThrow(/'own' has no gradient: because/)
      expect(grad(sum(ops.floor(x)), [x], { allowUnused: true })[0]!.shape).toEqual([2])
      // Only where there was a graph to cut, and none is wanted otherwise.
      expect(() => grad(sum(ops.floor(leaf(1).detach())), [x])).toThrow(/input 0, of shape \[2\], has a graph, but y/)
      expect(() => grad(sum(ops.floor(x).detach()), [x])).toThrow(/has a graph, but y has none/)
    })
  })

  test('without gradOutput wants one element', () => {
    scope(() => {
      const x = leaf(1, 2)
      expect(() => grad(square(x), [x])).toThrow(shapeError)
      expect(() => grad(square(x), [x], { gradOutput: leaf(1) })).toThrow(shapeError)
    })
  })

  test('of something that y does not depend on is an error, or zeros with allowUnused', async () => {
    scope(() => {
      const [x, other] = [leaf(1), leaf(2)]
      expect(() => grad(square(x), [x, other])).toThrow(/input 1, of shape \[1\], is not used to compute y/)
      expect(() => grad(square(x), [tensor(device, [1])])).toThrow(/input 0, of shape \[1\], does not require/)
      expect(() => grad(tensor(device, [1]), [x])).toThrow(graphError)
      const [first] = grad(square(x), [x])
      expect(() => grad(first!, [x])).toThrow(/y has none.*createGraph: true/)
    })
    const zeros = await values(() => {
      const [x, other] = [leaf(1), leaf(2, 3)]
      return grad(square(x), [other, tensor(device, [4])], { allowUnused: true })
    })
    expect(zeros).toEqual([[0, 0], [0]])
  })

  test('does not see what is computed without recording, or detached', () => {
    scope(() => {
      const x = leaf(1)
      expect(noGrad(() => square(x)).requiresGrad).toBe(false)
      expect(square(x.detach()).requiresGrad).toBe(false)
      expect(square(x).requiresGrad).toBe(true)
    })
    expect(() => noGrad(async () => 1)).toThrow(/returned a promise/)
  })

  test('gives gradients that are detached, unless the graph is to be created', () => {
    scope(() => {
      const x = leaf(2)
      expect(grad(square(x), [x])[0]?.requiresGrad).toBe(false)
      expect(grad(square(x), [x], { createGraph: true })[0]?.requiresGrad).toBe(true)
    })
  })

  test('rejects an unknown option', () => {
    scope(() => {
      const x = leaf(1)
      expect(() => grad(x, [x], { createGraphs: true } as object)).toThrow(/unknown option 'createGraphs'/)
    })
  })
})

describe('the graph', () => {
  test('is freed by a gradient: a second one through it is an error', () => {
    scope(() => {
      const x = leaf(2)
      const y = square(x)
      grad(y, [x])
      expect(() => grad(y, [x])).toThrow(/The graph behind 'square' was freed/)
    })
  })

  test('is kept by retainGraph', async () => {
    expect(
      await values(() => {
        const x = leaf(2)
        const y = square(x)
        return [...grad(y, [x], { retainGraph: true }), ...grad(y, [x])]
      }),
    ).toEqual([[4], [4]])
  })

  test('is freed only where the gradient went', async () => {
    expect(
      await values(() => {
        const [x, w] = [leaf(2), leaf(3)]
        const left = square(x)
        const right = square(w)
        const y = mul(left, right)
        return [...grad(y, [right]), ...grad(right, [w]), ...grad(left, [x])]
      }),
    ).toEqual([[4], [6], [4]])
  })

  test('may be thousands of ops deep', async () => {
    const before = device.memory.current
    const [g] = await values(() => {
      const x = leaf(1)
      let y: Tensor = x
      for (let i = 0; i < 5000; i++) y = scope(() => add(y, x))
      return grad(y, [x])
    })
    expect(g).toEqual([5001])
    expect(device.memory.current).toBe(before)
  })

  test('of a deep chain is dropped without a gradient, too', () => {
    const before = device.memory.current
    scope(() => {
      const x = leaf(1)
      let y: Tensor = x
      for (let i = 0; i < 5000; i++) y = scope(() => square(y))
    })
    expect(device.memory.current).toBe(before)
  })

  test('keeps what it saved alive after the tensors are disposed, and no longer', async () => {
    const before = device.memory.current
    const x = leaf(3)
    const y = scope(() => exp(square(x)))
    expect(device.memory.current - before).toBe(256) // x; y is yet to be computed
    await y.read()
    expect(device.memory.current - before).toBe(2 * 256) // x and y; square saves x, exp saves y
    const z = scope(() => mul(square(x), y))
    await z.read()
    y.dispose()
    expect(device.memory.current - before).toBe(3 * 256) // mul saved both factors, one of them yet to be computed
    const [g] = grad(z, [x]) as [Tensor]
    await g.read()
    expect(device.memory.current - before).toBe(3 * 256) // x, z and the gradient
    for (const t of [x, z, g]) t.dispose()
    expect(device.memory.current).toBe(before)
  })
})

describe('an op of several outputs', () => {
  /** x² and eˣ. */
  const both = defineOp<Record<never, never>>({
    name: 'both',
    shape: ([x]) => x!.shape,
    forward: (device, [x], _, shape) => ({
      output: unary(device, 'SQUARE', x!.buffer, x!.size),
      others: [{ buffer: unary(device, 'EXP', x!.buffer, x!.size), shape }],
    }),
    saves: [0],
    vjp({ grads: [ofSquare, ofExp], input }) {
      const parts = [
        ...(ofSquare ? [mul(ofSquare, mul(input(0), 2))] : []),
        ...(ofExp ? [mul(ofExp, exp(input(0)))] : []),
      ]
      return [parts.reduce((a, b) => add(a, b))]
    },
  })

  test.each<
    [string, (square: Tensor, exp: Tensor) => Tensor, (x: number) => [y: number, first: number, second: number]]
  >([
    ['all', (a, b) => mul(a, b), (x) => [x * x, 2 * x + x * x, 2 + 4 * x + x * x].map((v) => v * Math.exp(x)) as never],
    ['the first', (a) => a, (x) => [x * x, 2 * x, 2]],
    ['the second', (_, b) => b, (x) => [Math.exp(x), Math.exp(x), Math.exp(x)]],
  ])('has gradients where %s of them are used', async (_, f, expected) => {
    const before = device.memory.current
    const results = await values(() => {
      const x = leaf(1.5)
      const y = f(...(both.applyAll([x], {}) as [Tensor, Tensor]))
      const [first] = grad(y, [x], { createGraph: true }) as [Tensor]
      const [again] = grad(y, [x], { retainGraph: true }) as [Tensor]
      return [y, first, again, ...grad(first, [x])]
    })
    const [y, first, second] = expected(1.5)
    for (const [i, v] of [y, first, first, second].entries()) expect(results[i]![0]).toBeCloseTo(v, 4)
    expect(device.memory.current).toBe(before)
  })

  test('has outputs that are targets', async () => {
    expect(
      await values(() => {
        const [a, b] = both.applyAll([leaf(0)], {}) as [Tensor, Tensor]
        return grad(add(mul(a, 3), mul(b, 5)), [b, a])
      }),
    ).toEqual([[5], [3]])
  })

  test('gives its first output alone, and frees the others', () => {
    scope(() => {
      const x = leaf(1)
      const before = device.memory.current
      both.apply([x], {})
      expect(device.memory.current - before).toBe(256)
    })
  })
})

describe('a gradient rule of the wrong kind is an error that names the op', () => {
  /** x², with the given rule. */
  const squareWith = (vjp: Vjp<Record<never, never>>, x: Tensor) =>
    defineOp<Record<never, never>>({
      name: 'own',
      shape: ([x]) => x!.shape,
      forward: (device, [x]) => unary(device, 'SQUARE', x!.buffer, x!.size),
      saves: [],
      vjp,
    }).apply([x], {})

  test.each<[string, Vjp<Record<never, never>>, code: string, message: string]>([
    [
      'a smaller shape',
      ({ grad }) => [sum(grad)],
      'shape',
      'own: its vjp gives a gradient of shape [] (f32) for input 0',
    ],
    [
      'another type',
      ({ grad }) => [ops.argmax(ops.stack([grad, grad], 0), 0)],
      'shape',
      'of shape [2] (i32) for input 0',
    ],
    ['no gradient', () => [], 'graph', 'own: its vjp gives undefined as the gradient of input 0, of shape [2].'],
    ['no tensor', () => [3 as never], 'graph', 'own: its vjp gives 3 as the gradient'],
    ['no list', ({ grad }) => grad as never, 'option', 'own: its vjp returned an object. Return an array'],
    ['what is not saved', ({ input }) => [input(0)], 'graph', "The vjp of 'own' reads an input, output or extra"],
  ])('%s', (_, vjp, code, message) => {
    scope(() => {
      const x = leaf(1, 2)
      const y = sum(squareWith(vjp, x))
      expect(() => grad(y, [x])).toThrow(
        expect.objectContaining({ name: 'Ld3mError', code, message: expect.stringContaining(message) }),
      )
    })
  })
})

test('a gradient rule frees an input that it releases, unless the graph is kept', () => {
  const freed: number[] = []
  const own = defineOp<Record<never, never>>({
    name: 'own',
    shape: ([x]) => x!.shape,
    forward: (device, [x]) => unary(device, 'SQUARE', x!.buffer, x!.size),
    saves: [0],
    vjp({ grad, input, release }) {
      const g = scope(() => mul(grad, mul(input(0), 2)))
      g.buffer // computed: a chain would keep the input
      const before = device.memory.current
      release(0)
      freed.push(before - device.memory.current)
      return [g]
    },
  })
  scope(() => {
    const x = leaf(2)
    const z = scope(() => own.apply([square(x)], {}))
    grad(z, [x], { retainGraph: true })
    grad(z, [x])
    expect(freed).toEqual([0, 256])
    expect(() => grad(z, [x])).toThrow(graphError)
  })
})

describe('memory', () => {
  test('stays flat over 200 iterations of a training loop', async () => {
    const x = tensor(
      device,
      Float32Array.from({ length: 8 * 3 }, (_, i) => Math.sin(i)),
      { shape: [8, 3] },
    )
    const labels = tensor(
      device,
      Int32Array.from({ length: 8 }, (_, i) => i % 4),
    )
    let w = tensor(device, new Float32Array(12), { shape: [3, 4], requiresGrad: true })
    const losses: number[] = []
    const use: { current: number; reserved: number }[] = []
    for (let i = 0; i < 200; i++) {
      const { next, loss } = scope(() => {
        const loss = ops.crossEntropy(ops.matmul(x, w), labels)
        const [g] = grad(loss, [w]) as [Tensor]
        return { next: ops.sub(w, mul(g, 0.5)).leaf(), loss: loss.detach() }
      })
      w.dispose()
      w = next
      if (i % 50 === 49) losses.push(await loss.item())
      loss.dispose()
      const { current, reserved } = device.memory
      use.push({ current, reserved })
    }
    expect(use.at(-1)).toEqual(use[1])
    expect(losses[3]).toBeLessThan(losses[0]!)
    for (const t of [x, labels, w]) t.dispose()
  })
})

describe('a tensor that is changed in place after a graph saved it', () => {
  const change: Record<string, (x: Tensor) => void> = {
    'Tensor.write': (x) => x.write(Float32Array.of(9, 9)),
    'a write through an alias': (x) => scope(() => x.detach().write(Float32Array.of(9, 9))),
    "an optimizer's step": (x) => scope(() => new Sgd({ x }, { lr: 1 }).step({ x: tensor(x.device, [9, 9]) })),
    'a copy of its buffer': (x) => scope(() => x.device.copy(tensor(x.device, [9, 9]).buffer, 0, x.buffer, 0, 8)),
  }

  test.each(Object.entries(change))('ends in an error: %s', (_, write) => {
    scope(() => {
      const x = tensor(device, [1, 2], { requiresGrad: true })
      const y = ops.sum(ops.square(x))
      write(x)
      expect(() => grad(y, [x])).toThrow(
        expect.objectContaining({ code: 'graph', message: expect.stringMatching(/\[2\] whose elements were changed/) }),
      )
    })
  })

  test('also in a checkpoint, which would compute something else', () => {
    scope(() => {
      const x = tensor(device, [1, 2], { requiresGrad: true })
      const y = ops.sum(checkpoint((x) => ops.exp(x), [x]))
      x.write(Float32Array.of(9, 9))
      expect(() => grad(y, [x])).toThrow(/'checkpoint' saved/)
    })
  })

  test('is of no matter where the gradient does not read it, or was taken before', async () => {
    const x = tensor(device, [1, 2], { requiresGrad: true })
    const [sums, squares] = scope(() => {
      const y = ops.sum(ops.square(x))
      const z = ops.sum(x)
      const [squares] = grad(y, [x]) as [Tensor]
      x.write(Float32Array.of(9, 9))
      return [...(grad(z, [x]) as [Tensor]), squares]
    }) as [Tensor, Tensor]
    expect(await squares.read()).toEqual(Float32Array.of(2, 4))
    expect(await sums.read()).toEqual(Float32Array.of(1, 1))
    for (const t of [x, sums, squares]) t.dispose()
  })

  test('is whole again once it is computed anew', async () => {
    const x = tensor(device, [1, 2], { requiresGrad: true })
    ops.square(x).dispose()
    x.write(Float32Array.of(3, 4))
    const [g] = scope(() => grad(ops.sum(ops.square(x)), [x])) as [Tensor]
    expect(await g.read()).toEqual(Float32Array.of(6, 8))
    for (const t of [x, g]) t.dispose()
  })
})
