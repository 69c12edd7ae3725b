import * as kernels from '../../src/kernels/index.ts'
import { family, row, rowsFor } from '../harness.ts'

/** Philox4x32-10. */
const draws = rowsFor<number>({ full: [2 ** 12, 2 ** 22], quick: [10] }, (n) =>
  (['UNIFORM', 'NORMAL'] as const).map((distribution) =>
    row(`random ${distribution}`, `${n}`, {}, (device) => kernels.random(device, distribution, n, 1, 2, 0, 1)),
  ),
)

export const random = family('random', draws)
