import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

/** A step of the reverse process: latent, noise with and without condition, residual, and fresh noise. */
const steps = rowsFor<readonly [n: number, c: number, size: number]>(
  {
    full: [
      [10, 4, 8],
      [100, 3, 64],
    ],
    quick: [[2, 3, 4]],
  },
  ([n, c, size]) => {
    const count = n * c * size * size
    const shape = `${n}×${c}×${size}²`
    const term = floats(count)
    const inputs = { z: term, eps: term, epsUncond: term, residual: term, noise: term }
    return [
      row('ddimStep, guided', shape, inputs, (device, { z, eps, epsUncond, residual }) =>
        kernels.linearCombination(device, [z, eps, epsUncond, residual], [1, 2, 3, 4], count),
      ),
      row('ddimStep, with noise', shape, inputs, (device, { z, eps, epsUncond, residual, noise }) =>
        kernels.linearCombination(device, [z, eps, epsUncond, residual, noise], [1, 2, 3, 4, 5], count),
      ),
    ]
  },
)

export const ddim = family('ddim step', steps)
