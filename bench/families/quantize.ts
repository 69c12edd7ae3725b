import * as kernels from '../../src/kernels/index.ts'
import { family, floats, integers, row, rowsFor } from '../harness.ts'

/** Nearest codebook rows: a small prior's, and those of latent diffusion's VQ-f4. */
const codebooks = rowsFor<readonly [n: number, c: number, size: number, rows: number]>(
  {
    full: [
      [64, 4, 8, 512],
      [1, 3, 32, 8192],
    ],
    quick: [
      [2, 3, 2, 5],
      [2, 6, 2, 5],
      [2, 3, 2, 40],
    ],
  },
  ([n, c, size, rows]) => {
    const inner = size * size
    const shape = `${n}×${c}×${size}², ${rows} rows`
    const codebook = floats(rows * c)
    return [
      row('quantize', shape, { z: floats(n * c * inner), codebook }, (device, { z, codebook }) =>
        kernels.quantize(device, z, codebook, n, c, inner, rows),
      ),
      row('quantizeLookup', shape, { codebook, indices: integers(n * inner, rows) }, (device, { codebook, indices }) =>
        kernels.quantizeLookup(device, codebook, indices, n, c, inner),
      ),
    ]
  },
)

export const quantize = family('quantize', codebooks)
