import * as kernels from '../../src/kernels/index.ts'
import { family, floats, integers, row, rowsFor } from '../harness.ts'

type Size = readonly [n: number, c: number, size: number]

const SIZES = { full: [[64, 32, 32]], quick: [[2, 3, 4]] } as const

/** 2×2 windows: averages and maxima, and what their gradients of first and second order launch. */
const windows = rowsFor<Size>(SIZES, ([n, c, size]) => {
  const half = size / 2
  const planes = n * c
  const sizes = { planes, h: size, w: size, ho: half, wo: half, windows: { kernel: 2, stride: 2, pad: 0 } }
  const shape = `${n}×${c}×${size}², 2×2`
  const x = floats(planes * size * size)
  const grad = floats(planes * half * half)
  const indices = integers(planes * half * half, size * size)
  return [
    row('poolSum', shape, { x }, (device, { x }) => kernels.poolSum(device, x, sizes, 0.25, false)),
    row('poolSum, spread', shape, { grad }, (device, { grad }) => kernels.poolSum(device, grad, sizes, 0.25, true)),
    row('poolMax', shape, { x }, (device, { x }) => ({ ...kernels.poolMax(device, x, sizes) })),
    row('poolMaxGrad', shape, { grad, indices }, (device, { grad, indices }) =>
      kernels.poolMaxGrad(device, grad, indices, sizes),
    ),
    row('poolGather', shape, { x, indices }, (device, { x, indices }) => kernels.poolGather(device, x, indices, sizes)),
  ]
})

export const pooling = family('pooling', windows)
