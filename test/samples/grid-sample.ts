import fc from 'fast-check'
import { type NdArray, ndarray } from '../support/ndarray.ts'
import type { SamplesByOp } from './types.ts'

const sizes = fc.record({
  n: fc.integer({ min: 1, max: 2 }),
  shared: fc.boolean(),
  c: fc.constantFrom(1, 3, 5),
  h: fc.constantFrom(2, 3, 6),
  w: fc.constantFrom(2, 5),
  // Tiles are of 8 × 8 points.
  outH: fc.constantFrom(1, 4, 11),
  outW: fc.constantFrom(1, 3, 9),
  dx: fc.boolean(),
  dy: fc.boolean(),
})

/** The coordinates at which a point lies on a pixel's centre, where sampling has a kink, in and around the image. */
const kinks = (...pixels: number[]) =>
  pixels.flatMap((size) => Array.from({ length: size + 2 }, (_, i) => (2 * (i - 1)) / (size - 1) - 1))

/** Visits each output element and its four pixels: (index of g or the output, index of x or -1, weight). */
function visit(
  samples: number,
  channels: number,
  [h, w]: readonly [number, number],
  grid: NdArray,
  { dx, dy }: { dx: boolean; dy: boolean },
  f: (out: number, image: number, weight: number) => void,
) {
  const [batch, outH, outW] = grid.shape as [number, number, number]
  const points = outH * outW
  for (let plane = 0; plane < samples * channels; plane++) {
    const sample = batch === 1 ? 0 : Math.floor(plane / channels)
    for (let p = 0; p < points; p++) {
      const at = 2 * (sample * points + p)
      const x = ((grid.data[at]! + 1) / 2) * (w - 1)
      const y = ((grid.data[at + 1]! + 1) / 2) * (h - 1)
      for (const j of [0, 1]) {
        for (const i of [0, 1]) {
          const column = Math.floor(x) + i
          const row = Math.floor(y) + j
          if (column < 0 || row < 0 || column >= w || row >= h) continue
          const [fx, fy] = [x - Math.floor(x), y - Math.floor(y)]
          const wx = dx ? 2 * i - 1 : i ? fx : 1 - fx
          const wy = dy ? 2 * j - 1 : j ? fy : 1 - fy
          f(plane * points + p, (plane * h + row) * w + column, wx * wy)
        }
      }
    }
  }
}

const gridSpec = (n: number, shared: boolean, outH: number, outW: number, h: number, w: number) => ({
  shape: [shared ? 1 : n, outH, outW, 2],
  low: -1.4,
  high: 1.4,
  avoid: kinks(h, w),
})

export const gridSample = {
  gridSample: {
    cases: sizes.map(({ n, shared, c, h, w, outH, outW, dx, dy }) => ({
      inputs: [{ shape: [n, c, h, w] }, gridSpec(n, shared, outH, outW, h, w)],
      attrs: { dx, dy },
    })),
    reference: ([x, grid], attrs) => {
      const [n, c, h, w] = x!.shape as [number, number, number, number]
      const out = ndarray([n, c, grid!.shape[1]!, grid!.shape[2]!], () => 0)
      visit(n, c, [h, w], grid!, attrs, (to, from, weight) => {
        out.data[to]! += weight * x!.data[from]!
      })
      return out
    },
  },
  gridSampleAdjoint: {
    cases: sizes.map(({ n, shared, c, h, w, outH, outW, dx, dy }) => ({
      inputs: [{ shape: [n, c, outH, outW] }, gridSpec(n, shared, outH, outW, h, w)],
      attrs: { dx, dy, size: [h, w] as [number, number] },
    })),
    reference: ([g, grid], attrs) => {
      const [n, c] = g!.shape as [number, number]
      const out = ndarray([n, c, ...attrs.size], () => 0)
      visit(n, c, attrs.size, grid!, attrs, (from, to, weight) => {
        out.data[to]! += weight * g!.data[from]!
      })
      return out
    },
  },
} satisfies Partial<SamplesByOp>
