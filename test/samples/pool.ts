import fc from 'fast-check'
import { type NdArray, ndarray, sizeOf } from '../support/ndarray.ts'
import type { InputSpec, SamplesByOp } from './types.ts'

type Size = readonly [number, number]
type Windows =
  | { readonly kernel: number; readonly stride: number; readonly padding: number }
  | { readonly outputSize: Size }

const planes = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
const mapSize = fc.tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 8 }))

/** First and one past the last element of window o along a dimension of `size`, uncut. */
function range(windows: Windows, axis: 0 | 1, o: number, size: number): [number, number] {
  if ('outputSize' in windows) {
    const outputs = windows.outputSize[axis]
    return [Math.floor((o * size) / outputs), Math.ceil(((o + 1) * size) / outputs)]
  }
  const start = o * windows.stride - windows.padding
  return [start, start + windows.kernel]
}

function outputSize(windows: Windows, [h, w]: Size): Size {
  if ('outputSize' in windows) return windows.outputSize
  const { kernel, stride, padding } = windows
  return [Math.floor((h + 2 * padding - kernel) / stride) + 1, Math.floor((w + 2 * padding - kernel) / stride) + 1]
}

/** Calls `visit` with the plane, the flat output index and the flat input index of every element of every window. */
function forEachElement(
  windows: Windows,
  count: number,
  [h, w]: Size,
  visit: (plane: number, out: number, x: number) => void,
): void {
  const [ho, wo] = outputSize(windows, [h, w])
  for (let plane = 0; plane < count; plane++) {
    for (let oy = 0; oy < ho; oy++) {
      for (let ox = 0; ox < wo; ox++) {
        const [y0, y1] = range(windows, 0, oy, h)
        const [x0, x1] = range(windows, 1, ox, w)
        for (let y = Math.max(y0, 0); y < Math.min(y1, h); y++) {
          for (let x = Math.max(x0, 0); x < Math.min(x1, w); x++) {
            visit(plane, (plane * ho + oy) * wo + ox, (plane * h + y) * w + x)
          }
        }
      }
    }
  }
}

const strided = fc
  .tuple(mapSize, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 }))
  .filter(([size, kernel, , padding]) => padding <= kernel / 2 && size.every((s) => s + 2 * padding >= kernel))
  .map(([size, kernel, stride, padding]) => ({ size, windows: { kernel, stride, padding } }))

const adaptive = fc.tuple(mapSize, mapSize).map(([size, outputs]) => ({ size, windows: { outputSize: outputs } }))

/** Windows that all cover the whole map, so that any index lies in its window. */
const covering = fc.constantFrom<{ size: Size; windows: Windows }>(
  { size: [2, 2], windows: { kernel: 3, stride: 1, padding: 1 } },
  { size: [3, 3], windows: { kernel: 5, stride: 1, padding: 2 } },
  { size: [3, 2], windows: { kernel: 5, stride: 2, padding: 2 } },
  { size: [4, 5], windows: { outputSize: [1, 1] } },
  { size: [1, 1], windows: { outputSize: [3, 2] } },
)

const spread = (grad: NdArray, windows: Windows, inputSize: Size, scale: number): NdArray => {
  const x = ndarray([...grad.shape.slice(0, 2), ...inputSize], () => 0)
  const count = sizeOf(grad.shape.slice(0, 2))
  forEachElement(windows, count, inputSize, (_, io, ix) => (x.data[ix]! += scale * grad.data[io]!))
  return x
}

const gather = (x: NdArray, windows: Windows, scale: number): NdArray => {
  const size = x.shape.slice(2) as unknown as Size
  const out = ndarray([...x.shape.slice(0, 2), ...outputSize(windows, size)], () => 0)
  forEachElement(windows, sizeOf(x.shape.slice(0, 2)), size, (_, io, ix) => (out.data[io]! += scale * x.data[ix]!))
  return out
}

const blocks = (factor: number) => ({ kernel: factor, stride: factor, padding: 0 })

export const pool = {
  avgPool2d: {
    cases: fc.tuple(planes, strided).map(([nc, { size, windows }]) => ({
      inputs: [{ shape: [...nc, ...size] }],
      attrs: windows,
    })),
    reference: ([x], windows) => gather(x!, windows, 1 / windows.kernel ** 2),
  },
  avgPool2dGrad: {
    cases: fc.tuple(planes, strided).map(([nc, { size, windows }]) => ({
      inputs: [{ shape: [...nc, ...outputSize(windows, size)] }],
      attrs: { ...windows, inputSize: size },
    })),
    reference: ([grad], { inputSize, ...windows }) => spread(grad!, windows, inputSize, 1 / windows.kernel ** 2),
  },
  upsampleNearest2d: {
    cases: fc.tuple(planes, mapSize, fc.integer({ min: 1, max: 3 })).map(([nc, size, factor]) => ({
      inputs: [{ shape: [...nc, ...size] }],
      attrs: { factor },
    })),
    reference: ([x], { factor }) => {
      const [h, w] = x!.shape.slice(2) as [number, number]
      return spread(x!, blocks(factor), [h * factor, w * factor], 1)
    },
  },
  upsampleNearest2dGrad: {
    cases: fc.tuple(planes, mapSize, fc.integer({ min: 1, max: 3 })).map(([nc, [h, w], factor]) => ({
      inputs: [{ shape: [...nc, h * factor, w * factor] }],
      attrs: { factor },
    })),
    reference: ([grad], { factor }) => gather(grad!, blocks(factor), 1),
  },
  maxPool2d: {
    cases: fc.tuple(planes, fc.oneof(strided, adaptive)).map(([nc, { size, windows }]) => ({
      inputs: [{ shape: [...nc, ...size], distinct: true }],
      attrs: windows,
    })),
    reference: ([x], windows) => {
      const size = x!.shape.slice(2) as unknown as Size
      const out = ndarray([...x!.shape.slice(0, 2), ...outputSize(windows, size)], () => Number.NEGATIVE_INFINITY)
      forEachElement(windows, sizeOf(x!.shape.slice(0, 2)), size, (_, io, ix) => {
        out.data[io] = Math.max(out.data[io]!, x!.data[ix]!)
      })
      return out
    },
  },
  maxPool2dGrad: {
    cases: fc.tuple(planes, covering).map(([nc, { size, windows }]) => {
      const shape = [...nc, ...outputSize(windows, size)]
      const indices: InputSpec = { shape, dtype: 'i32', low: 0, high: sizeOf(size) }
      return { inputs: [{ shape }, indices], attrs: { ...windows, inputSize: size } }
    }),
    reference: ([grad, indices], { inputSize }) => {
      const x = ndarray([...grad!.shape.slice(0, 2), ...inputSize], () => 0)
      const outputs = sizeOf(grad!.shape.slice(2))
      grad!.data.forEach((g, i) => {
        x.data[Math.floor(i / outputs) * sizeOf(inputSize) + indices!.data[i]!]! += g
      })
      return x
    },
  },
  maxPool2dGather: {
    cases: fc.tuple(planes, covering).map(([nc, { size, windows }]) => {
      const shape = [...nc, ...outputSize(windows, size)]
      const indices: InputSpec = { shape, dtype: 'i32', low: 0, high: sizeOf(size) }
      return { inputs: [{ shape: [...nc, ...size] }, indices], attrs: { ...windows, inputSize: size } }
    }),
    reference: ([x, indices], { inputSize }) => {
      const outputs = sizeOf(indices!.shape.slice(2))
      return ndarray(indices!.shape, (i) => x!.data[Math.floor(i / outputs) * sizeOf(inputSize) + indices!.data[i]!]!)
    },
  },
} satisfies Partial<SamplesByOp>
