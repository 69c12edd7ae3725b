import { rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import { expectShape, formatShape, sameShape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { halvesOf } from './half.ts'
import { reshape } from './reshape.ts'
import { broadcastTo, sum } from './sum.ts'

export interface MatmulAttrs {
  readonly transposeA: boolean
  readonly transposeB: boolean
}

/** The product's sizes; throws if the shapes do not fit. */
function sizesOf(a: Tensor, b: Tensor, { transposeA, transposeB }: MatmulAttrs): kernels.MatmulSizes {
  const [rows, cols] = a.shape.slice(-2) as [number, number]
  const [bRows, bCols] = b.shape.slice(-2) as [number, number]
  const [m, k] = transposeA ? [cols, rows] : [rows, cols]
  const [bk, n] = transposeB ? [bCols, bRows] : [bRows, bCols]
  if (a.rank < 2 || b.rank < 2 || bk !== k || !sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) {
    throw shapeError(
      `matmul: a ${formatShape(a.shape)}${transposeA ? ' transposed' : ''} does not multiply ` +
        `b ${formatShape(b.shape)}${transposeB ? ' transposed' : ''}.`,
      'Expected a [...B, M, K] and b [...B, K, N] with the same batch dimensions, or b [K, N].',
    )
  }
  return { batches: sizeOf(a.shape.slice(0, -2)), m, n, k, transposeA, transposeB }
}

export const matmulOp: Op<MatmulAttrs> = defineOp<MatmulAttrs>({
  name: 'matmul',
  inputTypes: ['float', 'float', 'f32'],
  shape([a, b, bias], attrs) {
    const { m, n } = sizesOf(a as Tensor, b as Tensor, attrs)
    if (bias) expectShape('matmul: bias', bias.shape, [n])
    return [...(a as Tensor).shape.slice(0, -2), m, n]
  },
  forward(device, [a, b, bias], attrs) {
    const sizes = sizesOf(a as Tensor, b as Tensor, attrs)
    const epilogue = { bias: bias?.buffer }
    return kernels.matmul(device, (a as Tensor).buffer, (b as Tensor).buffer, sizes, epilogue, halvesOf(a, b))
  },
  saves: [0, 1],
  // With C = op(A)·op(B): dA = dC·op(B)ᵀ and dB = op(A)ᵀ·dC, transposed where the input is stored transposed.
  vjp: ({ grad, input, needs, attrs: { transposeA, transposeB } }) => [
    needs[0]
      ? transposeA
        ? product(input(1), grad, transposeB, true)
        : product(grad, input(1), false, !transposeB)
      : undefined,
    needs[1]
      ? transposeB
        ? product(grad, input(0), true, transposeA)
        : product(input(0), grad, !transposeA, false)
      : undefined,
    needs[2]
      ? sum(
          grad,
          Array.from({ length: grad.rank - 1 }, (_, axis) => axis),
        )
      : undefined,
  ],
})

const product = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean, bias?: Tensor): Tensor =>
  matmulOp.apply(bias ? [a, b, bias] : [a, b], { transposeA, transposeB })

export interface MatmulOptions {
  /** `a` is stored [...B, K, M]. Default false. */
  transposeA?: boolean
  /** `b` is stored [...B, N, K]. Default false. */
  transposeB?: boolean
  /** Added to every row, in the same kernel: [N]. */
  bias?: Tensor | undefined
}

/**
 * Matrix product a · b: a [...B, M, K] and b [...B, K, N] with equal batch dimensions, or b [K, N] shared by all
 * batches, to [...B, M, N]. Both may be f16; sums and the result are f32.
 * @throws Ld3mError `shape` if the shapes do not fit, `option` if an option is unknown
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  rejectUnknownOptions('matmul', options, ['transposeA', 'transposeB', 'bias'])
  const { transposeA = false, transposeB = false, bias } = options
  const batch = a.shape.slice(0, -2)
  if (b.rank !== 2 || batch.length === 0) return product(a, b, transposeA, transposeB, bias)
  if (!transposeA) {
    // One product with all batches' rows in one matrix.
    const [m, k] = a.shape.slice(-2) as [number, number]
    const rows = product(reshape(a, [sizeOf(batch) * m, k]), b, false, transposeB, bias)
    return reshape(rows, [...batch, m, rows.shape[1] as number])
  }
  return product(a, broadcastTo(b, [...batch, ...b.shape]), true, transposeB, bias)
}
