import * as kernels from '../../src/kernels/index.ts'
import { family, floats, halves, row, rowsFor } from '../harness.ts'

type Size = readonly [batches: number, m: number, k: number, n: number]

const SIZES = {
  full: [
    [1, 512, 512, 512],
    [1, 128, 1024, 256],
    [1, 640, 512, 10],
    [64, 64, 32, 64],
    [1, 1, 512, 512],
  ],
  quick: [
    [1, 5, 6, 7],
    [1, 64, 64, 64],
    [1, 2, 6, 7],
  ],
} as const

const TRANSPOSED = [
  ['a·b', false, false],
  ['aᵀ·b', true, false],
  ['a·bᵀ', false, true],
] as const

const products = rowsFor<Size>(SIZES, ([batches, m, k, n]) =>
  TRANSPOSED.map(([text, transposeA, transposeB]) =>
    row(
      `matmul ${text}`,
      `${batches > 1 ? `${batches}× ` : ''}${m}×${k} · ${k}×${n}`,
      { a: floats(batches * m * k), b: floats(batches * k * n) },
      (device, { a, b }) => kernels.matmul(device, a, b, { batches, m, n, k, transposeA, transposeB }),
    ),
  ),
)

/** By a linear layer's frozen weight. */
const byHalves = rowsFor<Size>(SIZES, ([batches, m, k, n]) => [
  row(
    'matmul a·bᵀ, f16 b',
    `${batches > 1 ? `${batches}× ` : ''}${m}×${k} · ${k}×${n}`,
    { a: floats(batches * m * k), b: halves(batches * k * n) },
    (device, { a, b }) =>
      kernels.matmul(
        device,
        a,
        b,
        { batches, m, n, k, transposeA: false, transposeB: true },
        {},
        { halves: { right: true } },
      ),
  ),
])

export const matmul = family('matmul', products, byHalves)
