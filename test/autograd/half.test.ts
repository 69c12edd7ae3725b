import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  checkpoint,
  grad,
  noGrad,
  type Op,
  ops,
  registry,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../../src/autograd/index.ts'
import { Ld3mError } from '../../src/errors.ts'
import type { Device, DeviceOptions } from '../../src/gpu/index.ts'
import { halfToNumber, toHalfBits } from '../../src/io/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { samples } from '../samples/index.ts'
import type { InputSpec, Samples } from '../samples/types.ts'
import { draw, expectClose, uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

/** The nearest half to a finite number in float64, ties to even, at most 65,504: without a look at bits. */
function nearest(x: number): number {
  const size = Math.abs(x)
  const step = 2 ** Math.max(-24, Math.floor(Math.log2(Math.max(size, 2 ** -30))) - 10)
  const [low, rest] = [Math.floor(size / step), size / step - Math.floor(size / step)]
  const count = rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low
  return Math.sign(x) * Math.min(count * step, 65_504)
}

/** Numbers of every size, the borders of what a half can hold among them. */
const number = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }),
  fc.float({ min: Math.fround(-70_000), max: Math.fround(70_000), noNaN: true }),
  fc.float({ min: Math.fround(-2), max: Math.fround(2), noNaN: true }),
  fc.float({ min: Math.fround(-(2 ** -13)), max: Math.fround(2 ** -13), noNaN: true }),
  fc.integer({ min: -3000, max: 3000 }).map((n) => n * 2 ** -26),
  fc.constantFrom(0, -0, 65_504, 65_519, 65_520, 65_536, -1e30, 2 ** -14, 2 ** -24, 2 ** -25, -(2 ** -25), 2 ** -26),
  fc.constantFrom(1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25 * 3, 2 ** -14 - 2 ** -25, 1e-45),
)

describe('the bits of a half', () => {
  test('are those of the nearest one, ties to even, and at most 65,504', () => {
    fc.assert(
      fc.property(number, (x) => {
        const value = halfToNumber(toHalfBits(Float32Array.of(x))[0]!)
        expect(Math.abs(value)).toBe(nearest(Math.abs(x)))
        expect(Object.is(Math.sign(value), Math.sign(x)) || value === 0).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  test('come back from every number that a half can hold', () => {
    const finite = Uint16Array.from({ length: 65_536 }, (_, i) => i).filter((bits) => (bits & 0x7c00) !== 0x7c00)
    expect(toHalfBits(Float32Array.from(finite, halfToNumber))).toEqual(finite)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('are refused for %d', (x) => {
    expect(() => toHalfBits(Float32Array.of(1, x))).toThrow(/Element 1 is .*Infinity|Element 1 is NaN/)
  })
})

test('without half precision, f16 tensors are refused with what to do', async () => {
  const device = await openDevice({ withoutHalf: true })
  const x = tensor(device, [1, 2])
  for (const make of [
    () => tensor(device, [1, 2], { dtype: 'f16' }),
    () => zeros(device, [2], 'f16'),
    () => ops.toHalf(x),
  ]) {
    expect(make).toThrow(Ld3mError)
    expect(make).toThrow(/shader-f16.*Use f32/)
  }
  device.destroy()
})

// Everything below runs where there is half precision. Where there is none, the test above is the whole of it.
const device = await testDevice()
const variants: [string, DeviceOptions, order: 1 | 2][] = [
  ['as the adapter is', {}, 2],
  ['without subgroups', { withoutSubgroups: true }, 1],
  ['as on a GPU', { likeHardware: true }, 1],
]

interface ProductCase {
  readonly inputs: readonly InputSpec[]
  readonly attrs: unknown
  /** Which operands are f16, in turn. */
  readonly halves: readonly (readonly number[])[]
}

type Product = 'conv2d' | 'conv2dInputGrad' | 'conv2dWeightGrad' | 'matmul'

/** Few, since each is several kernels to compile: tiles of 16, 8 and 4 columns, whole fours and not. */
const cases: readonly (readonly [Product, ProductCase])[] = [
  ...(
    [
      [5, 17, 8, 3, 1, 1],
      [9, 6, 5, 1, 1, 0],
      [3, 4, 7, 3, 2, 1],
    ] as const
  ).flatMap(([c, o, size, k, stride, pad]) => {
    const out = Math.floor((size + 2 * pad - k) / stride) + 1
    const attrs = { stride, padding: [pad, pad, pad, pad] }
    const [x, weight, y] = [
      [2, c, size, size],
      [o, c, k, k],
      [2, o, out, out],
    ].map((shape) => ({ shape })) as InputSpec[] as Specs
    const small = { ...weight, low: -0.2, high: 0.2 }
    return [
      ['conv2d', { inputs: [x, small, { shape: [o] }], attrs, halves: [[1], [0, 1]] }],
      ['conv2dInputGrad', { inputs: [y, small], attrs: { ...attrs, inputSize: [size, size] }, halves: [[1]] }],
      ['conv2dWeightGrad', { inputs: [x, y], attrs: { ...attrs, kernel: [k, k] }, halves: [[0]] }],
    ] as const
  }),
  ...(
    [
      [5, 6, 40, false],
      [40, 6, 5, true],
    ] as const
  ).map(([m, k, n, transposed]) => {
    const inputs = [{ shape: transposed ? [2, k, m] : [2, m, k] }, { shape: transposed ? [2, n, k] : [2, k, n] }]
    const attrs = { transposeA: transposed, transposeB: transposed }
    return ['matmul', { inputs, attrs, halves: [[1], [0, 1]] }] as const
  }),
]
type Specs = [InputSpec, InputSpec, InputSpec]

if (device.info.features.has('shader-f16'))
  describe('with half precision', () => {
    const half = (data: readonly number[], shape?: readonly number[]) =>
      tensor(device, data, { dtype: 'f16', ...(shape ? { shape } : {}) })

    test('the adapter converts as the host does, and back exactly', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(number, { minLength: 1, maxLength: 70 }), async (values) => {
          const x = tensor(device, values)
          const [cast, there, back] = scope(() => {
            const y = ops.toHalf(x)
            return [y, half(values), ops.toFloat(y)] as const
          })
          const expected = Float32Array.from(toHalfBits(Float32Array.from(values)), halfToNumber)
          expect(await cast.read()).toEqual(expected)
          expect(await there.read()).toEqual(expected)
          expect(await back.read()).toEqual(expected)
          for (const t of [x, cast, there, back]) t.dispose()
        }),
        { numRuns: 40 },
      )
    })

    test('the adapter keeps infinities and NaN, so that a loss that is not finite is seen', async () => {
      const x = tensor(device, [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      const y = scope(() => ops.toFloat(ops.toHalf(x)))
      expect([...(await y.read())]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const t of [x, y]) t.dispose()
    })

    test('it takes two bytes a number, and is written to and read', async () => {
      const before = device.memory.current
      const x = zeros(device, [1000], 'f16')
      expect(device.memory.current - before).toBe(2048)
      expect(new Set(await x.read())).toEqual(new Set([0]))
      x.write(new Float32Array(1000).fill(0.1))
      expect((await x.read())[999]).toBe(nearest(Math.fround(0.1)))
      expect(ops.reshape(x, [10, 100]).dtype).toBe('f16')
      x.dispose()
    })

    test('gradients are f32 and pass a conversion unchanged; none is taken with respect to f16', async () => {
      const x = tensor(device, [0.1, -3, 2.5], { requiresGrad: true })
      const y = scope(() => ops.sum(ops.square(ops.toFloat(ops.toHalf(x)))))
      const [g] = grad(y, [x]) as [Tensor]
      expect(g.dtype).toBe('f32')
      expectClose(await g.read(), [0.2, -6, 5], 1e-3, 'gradient')
      const h = ops.toHalf(x)
      expect(() => half([1]).leaf()).toThrow(/must be f32.*toHalf/)
      expect(() => tensor(device, [1], { dtype: 'f16', requiresGrad: true })).toThrow(/must be f32.*toHalf/)
      expect(() => grad(y, [h], { allowUnused: true })).toThrow(/is f16; gradients are f32.*toHalf/)
      expect(() => grad(y, [x], { gradOutput: ops.reshape(half([1]), []) })).toThrow(/gradOutput is f16/)
      expect(() => checkpoint((a) => ops.toFloat(a), [h])).toThrow(/checkpoint.*f16.*toHalf/)
      for (const t of [x, y, g, h]) t.dispose()
    })

    test('ops that do not read f16 say so', () => {
      const x = half([1, 2, 3, 4], [2, 2])
      for (const op of [ops.relu, ops.softmax, (t: Tensor) => ops.permute(t, [1, 0]), (t: Tensor) => ops.add(t, t)]) {
        expect(() => op(x)).toThrow(/must be f32( or i32)?, got f16\. Convert it with toFloat/)
      }
      expect(() => ops.toFloat(ops.toFloat(x))).toThrow(/must be f16, got f32/)
      x.dispose()
    })

    describe.each(variants)('products, %s', (_, options, order) => {
      let device: Device
      beforeAll(async () => {
        device = await openDevice(options)
      })
      afterAll(() => device.destroy())

      test.each(order === 2 ? cases : cases.filter((_, i) => i % 9 < 3))(
        '%s of f16 operands is that of the rounded numbers, and so are its gradients',
        async (name, c) => {
          const op = registry[name] as unknown as Op<unknown>
          const { reference } = samples[name] as unknown as Samples<unknown>
          const random = uniform(5)
          const exact = c.inputs.map((spec) => draw(spec, random))
          for (const halves of c.halves) {
            const rounded = exact.map((x, i) => (halves.includes(i) ? { ...x, data: x.data.map(nearest) } : x))
            const w = draw({ shape: reference(exact, c.attrs).shape }, random)
            const run = (stored: boolean) =>
              scope(() => {
                const leaves = rounded.map(({ shape, data }) =>
                  tensor(device, Float32Array.from(data), { shape, requiresGrad: true }),
                )
                const xs = leaves.map((x, i) => (stored && halves.includes(i) ? ops.toHalf(x) : x))
                const y = op.apply(xs, c.attrs)
                const gradOutput = tensor(device, Float32Array.from(w.data), { shape: w.shape })
                const first = grad(y, leaves, { gradOutput, createGraph: true })
                // Of the second order, in the form that differs by operand.
                const squares = first.map((g) => ops.sum(ops.square(g))).reduce((a, b) => ops.add(a, b))
                return [y, ...first, ...(order === 2 ? grad(squares, leaves, { allowUnused: true }) : [])]
              })
            const results = run(true)
            const plain = run(false)
            for (const [i, result] of results.entries()) {
              expect(result.dtype).toBe('f32')
              expectClose(await result.read(), await plain[i]!.read(), 1e-5, `${name}: result ${i}`)
            }
            const y = await results[0]!.read()
            expectClose(y, reference(rounded, c.attrs).data, 1e-5, `${name}: rounded`)
            expectClose(y, reference(exact, c.attrs).data, 2e-3, `${name}: not rounded`)
            for (const t of [...results, ...plain]) t.dispose()
          }
        },
      )

      test('packed weights that are kept take half the bytes', async () => {
        const bytes = (dtype: 'f16' | 'f32') => {
          const x = zeros(device, [1, 32, 8, 8])
          const weight = zeros(device, [32, 32, 3, 3], dtype)
          const before = device.memory.current
          noGrad(() => ops.conv2d(x, weight, { padding: 1 })).dispose()
          const kept = device.memory.current - before
          for (const t of [x, weight]) t.dispose()
          return kept
        }
        expect(bytes('f16')).toBe(bytes('f32') / 2)
      })
    })
  })
