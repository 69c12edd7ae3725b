import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

const value = { dx: false, dy: false }

/** One grid for a whole batch, as augmentation uses it, with the batch and the channels as planes; and one an image. */
const samplings = rowsFor<readonly [batch: number, planes: number, size: number]>(
  {
    full: [
      [1, 64, 32],
      [64, 3, 32],
      [1, 24, 128],
    ],
    quick: [
      [1, 6, 9],
      [2, 3, 9],
    ],
  },
  ([batch, planes, size]) => {
    const shape = `${batch}×${planes}×${size}²`
    const sizes = { batch, planes, height: size, width: size, outHeight: size, outWidth: size }
    const grid = floats(batch * size * size * 2)
    const maps = floats(batch * planes * size * size)
    return [
      row('gridSample', shape, { x: maps, grid }, (device, { x, grid }) =>
        kernels.gridSample(device, x, grid, sizes, value),
      ),
      row('gridSampleAdjoint', shape, { g: maps, grid }, (device, { g, grid }) =>
        kernels.gridSampleAdjoint(device, g, grid, sizes, value),
      ),
    ]
  },
)

export const gridSample = family('grid sample', samplings)
