import fc from 'fast-check'
import { type NdArray, ndarray } from '../support/ndarray.ts'
import type { InputSpec, SamplesByOp } from './types.ts'

interface Geometry {
  readonly n: number
  readonly c: number
  readonly o: number
  readonly h: number
  readonly w: number
  readonly kh: number
  readonly kw: number
  readonly stride: number
  readonly padding: readonly [number, number, number, number]
  readonly ho: number
  readonly wo: number
}

const side = fc.integer({ min: 0, max: 2 })
const narrow = fc.record({
  n: fc.integer({ min: 1, max: 3 }),
  c: fc.integer({ min: 1, max: 5 }),
  o: fc.integer({ min: 1, max: 5 }),
})
/** Enough channels for several blocks of outputs, and for the tiles that own more input channels or taps. */
const wide = fc.record({ n: fc.constant(1), c: fc.constantFrom(9, 34), o: fc.constantFrom(17, 33) })
const geometries: fc.Arbitrary<Geometry> = fc
  .record({
    channels: fc.oneof({ weight: 3, arbitrary: narrow }, { weight: 1, arbitrary: wide }),
    h: fc.integer({ min: 1, max: 7 }),
    w: fc.integer({ min: 1, max: 7 }),
    kernel: fc.constantFrom([1, 1], [3, 3], [3, 3], [5, 5], [2, 2], [4, 4], [1, 3], [3, 2]),
    stride: fc.constantFrom(1, 1, 2, 3),
    padding: fc.oneof(
      side.map((p) => [p, p, p, p] as const),
      fc.tuple(side, side, side, side),
    ),
  })
  .map(({ channels, kernel: [kh, kw], padding, stride, h, w }) => {
    const [top, bottom, left, right] = padding
    const ho = Math.floor((h + top + bottom - kh!) / stride) + 1
    const wo = Math.floor((w + left + right - kw!) / stride) + 1
    return { ...channels, h, w, kh: kh!, kw: kw!, stride, padding, ho, wo }
  })
  .filter(({ ho, wo }) => ho > 0 && wo > 0)

/** Calls `visit` with flat indices into x, weight and out for every multiplication of the convolution. */
function forEachTap(g: Geometry, visit: (x: number, weight: number, out: number) => void): void {
  const [top, , left] = g.padding
  for (let n = 0; n < g.n; n++) {
    for (let o = 0; o < g.o; o++) {
      for (let oy = 0; oy < g.ho; oy++) {
        for (let ox = 0; ox < g.wo; ox++) {
          for (let c = 0; c < g.c; c++) {
            for (let ky = 0; ky < g.kh; ky++) {
              for (let kx = 0; kx < g.kw; kx++) {
                const iy = oy * g.stride + ky - top
                const ix = ox * g.stride + kx - left
                if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w) continue
                visit(
                  ((n * g.c + c) * g.h + iy) * g.w + ix,
                  ((o * g.c + c) * g.kh + ky) * g.kw + kx,
                  ((n * g.o + o) * g.ho + oy) * g.wo + ox,
                )
              }
            }
          }
        }
      }
    }
  }
}

const xShape = ({ n, c, h, w }: Geometry) => [n, c, h, w]
const weightShape = ({ o, c, kh, kw }: Geometry) => [o, c, kh, kw]
const outShape = ({ n, o, ho, wo }: Geometry) => [n, o, ho, wo]

/** The geometry of a case, from its arrays' shapes. */
function geometry(x: readonly number[], weight: readonly number[], out: readonly number[], attrs: ConvAttrs): Geometry {
  const [n, c, h, w] = x as [number, number, number, number]
  const [o, , kh, kw] = weight as [number, number, number, number]
  return { n, c, o, h, w, kh, kw, ho: out[2]!, wo: out[3]!, stride: attrs.stride, padding: attrs.padding }
}
type ConvAttrs = Pick<Geometry, 'stride' | 'padding'>

export const conv = {
  conv2d: {
    cases: fc.tuple(geometries, fc.boolean()).map(([g, bias]) => {
      const inputs: InputSpec[] = [{ shape: xShape(g) }, { shape: weightShape(g) }]
      if (bias) inputs.push({ shape: [g.o] })
      return { inputs, attrs: { stride: g.stride, padding: g.padding } }
    }),
    reference: ([x, weight, bias], attrs) => {
      const [, , h, w] = x!.shape as [number, number, number, number]
      const [o, , kh, kw] = weight!.shape as [number, number, number, number]
      const [top, bottom, left, right] = attrs.padding
      const ho = Math.floor((h + top + bottom - kh) / attrs.stride) + 1
      const wo = Math.floor((w + left + right - kw) / attrs.stride) + 1
      const out = ndarray([x!.shape[0]!, o, ho, wo], (i) => (bias ? bias.data[Math.floor(i / (ho * wo)) % o]! : 0))
      const g = geometry(x!.shape, weight!.shape, out.shape, attrs)
      forEachTap(g, (ix, iw, io) => (out.data[io]! += x!.data[ix]! * weight!.data[iw]!))
      return out
    },
  },
  conv2dInputGrad: {
    cases: fc.tuple(geometries, fc.boolean()).map(([g, residual]) => ({
      inputs: [
        { shape: outShape(g) },
        { shape: weightShape(g) },
        ...(residual && g.stride === 1 ? [{ shape: xShape(g) }] : []),
      ],
      attrs: { stride: g.stride, padding: g.padding, inputSize: [g.h, g.w] as const },
    })),
    reference: ([grad, weight, residual], attrs): NdArray => {
      const x = ndarray([grad!.shape[0]!, weight!.shape[1]!, ...attrs.inputSize], (i) => residual?.data[i] ?? 0)
      const g = geometry(x.shape, weight!.shape, grad!.shape, attrs)
      forEachTap(g, (ix, iw, io) => (x.data[ix]! += grad!.data[io]! * weight!.data[iw]!))
      return x
    },
  },
  conv2dWeightGrad: {
    cases: geometries.map((g) => ({
      inputs: [{ shape: xShape(g) }, { shape: outShape(g) }],
      attrs: { stride: g.stride, padding: g.padding, kernel: [g.kh, g.kw] as const },
    })),
    reference: ([x, grad], attrs): NdArray => {
      const weight = ndarray([grad!.shape[1]!, x!.shape[1]!, ...attrs.kernel], () => 0)
      const g = geometry(x!.shape, weight.shape, grad!.shape, attrs)
      forEachTap(g, (ix, iw, io) => (weight.data[iw]! += x!.data[ix]! * grad!.data[io]!))
      return weight
    },
  },
} satisfies Partial<SamplesByOp>
