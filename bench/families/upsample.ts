import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

type Size = readonly [n: number, c: number, size: number]

/** Nearest ×2, which is the adjoint of summing 2×2 windows, and its gradient. */
const nearest = rowsFor<Size>({ full: [[64, 32, 16]], quick: [[2, 3, 2]] }, ([n, c, size]) => {
  const planes = n * c
  const large = 2 * size
  const sizes = { planes, h: large, w: large, ho: size, wo: size, windows: { kernel: 2, stride: 2, pad: 0 } }
  const shape = `${n}×${c}×${size}² → ${large}²`
  return [
    row('nearest', shape, { x: floats(planes * size * size) }, (device, { x }) =>
      kernels.poolSum(device, x, sizes, 1, true),
    ),
    row('nearest, gradient', shape, { grad: floats(planes * large * large) }, (device, { grad }) =>
      kernels.poolSum(device, grad, sizes, 1, false),
    ),
  ]
})

export const upsample = family('upsample', nearest)
