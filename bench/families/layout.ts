import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

type Size = readonly [n: number, c: number, size: number]

const SIZES = { full: [[64, 32, 32]], quick: [[2, 3, 4]] } as const

const maps = rowsFor<Size>(SIZES, ([n, c, size]) => {
  const area = size * size
  const count = n * c * area
  const map = `${n}×${c}×${size}²`
  const x = floats(count)
  const half = { segment: (c / 2) * area }
  return [
    row('stridedCopy, NCHW → NHWC', map, { x }, (device, { x }) =>
      kernels.stridedCopy(device, x, [n, size, size, c], [c * area, size, 1, area], 0),
    ),
    row('stridedCopy, first half', map, { x }, (device, { x }) =>
      kernels.stridedCopy(device, x, [n, Math.ceil(c / 2), size, size], [c * area, area, size, 1], 0),
    ),
    row('stridedCopy, flip', map, { x }, (device, { x }) =>
      kernels.stridedCopy(device, x, [n, c, size, size], [c * area, area, size, -1], size - 1),
    ),
    row(
      'pad by 1',
      map,
      { x },
      (device, { x }) =>
      kernels.pad(device, x, [n, c, size, size], [[0, 0], [0, 0], [1, 1], [1, 1]], 0), // biome-ignore format: one line
    ),
    row('concat of two', map, { a: x, b: x }, (device, { a, b }) =>
      kernels.concat(
        device,
        [
          { buffer: a, ...half },
          { buffer: b, ...half },
        ],
        n,
      ),
    ),
  ]
})

export const layout = family('layout', maps)
