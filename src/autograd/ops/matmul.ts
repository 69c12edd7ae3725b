import { rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import { expectShape, formatShape, sameShape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import {
  type EpilogueAttrs,
  type EpilogueOptions,
  epilogueGradients,
  epilogueInputs,
  gradOfSum,
  savesOf,
  withEpilogue,
} from './epilogue.ts'
import { halvesOf, toFloat } from './half.ts'
import { transpose } from './layout.ts'
import { reshape } from './reshape.ts'
import { sum } from './sum.ts'

export interface MatmulAttrs extends EpilogueAttrs {
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
  inputTypes: ['float', 'float', 'f32', 'f32'],
  shape(inputs, attrs) {
    const { x: a, weight: b, bias, residual } = epilogueInputs(inputs, attrs)
    const { m, n } = sizesOf(a, b, attrs)
    const shape = [...a.shape.slice(0, -2), m, n]
    if (bias) expectShape('matmul: bias', bias.shape, [n])
    if (residual) expectShape('matmul: residual', residual.shape, shape)
    return shape
  },
  forward(device, inputs, attrs) {
    const { x: a, weight: b, bias, residual } = epilogueInputs(inputs, attrs)
    const epilogue = { bias: bias?.buffer, residual: residual?.buffer, activation: attrs.activation }
    return kernels.matmul(device, a.buffer, b.buffer, sizesOf(a, b, attrs), epilogue, { halves: halvesOf(a, b) })
  },
  saves: savesOf,
  // With C = op(A)·op(B): dA = dC·op(B)ᵀ and dB = op(A)ᵀ·dC, transposed where the input is stored transposed.
  vjp(context) {
    const { input, needs, attrs } = context
    const { transposeA, transposeB } = attrs
    const grad = gradOfSum(context)
    return [
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
      ...epilogueGradients(context, grad, () =>
        sum(
          grad,
          Array.from({ length: grad.rank - 1 }, (_, axis) => axis),
        ),
      ),
    ]
  },
})

function product(
  a: Tensor,
  b: Tensor,
  transposeA: boolean,
  transposeB: boolean,
  epilogue: EpilogueOptions = {},
): Tensor {
  const { inputs, attrs } = withEpilogue('matmul', [a, b], epilogue)
  return matmulOp.apply(inputs, { transposeA, transposeB, ...attrs })
}

export interface MatmulOptions extends EpilogueOptions {
  /** `a` is stored [...B, K, M]. Default false. */
  transposeA?: boolean
  /** `b` is stored [...B, N, K]. Default false. */
  transposeB?: boolean
}

/**
 * Matrix product a · b: a [...B, M, K] and b [...B, K, N] with equal batch dimensions, or b [K, N] shared by all
 * batches, to [...B, M, N]; plus a bias [N] and a residual of the result's shape, then the activation. a and b may be
 * f16; sums and the result are f32.
 * @throws Ld3mError `shape` if the shapes do not fit, `option` if an option is unknown
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  rejectUnknownOptions('matmul', options, ['transposeA', 'transposeB', 'bias', 'residual', 'activation'])
  const { transposeA = false, transposeB = false, ...epilogue } = options
  const batch = a.shape.slice(0, -2)
  if (b.rank !== 2 || batch.length === 0) return product(a, b, transposeA, transposeB, epilogue)
  // One product with all batches' rows in one matrix. Only products read f16, and nothing is lost by the conversion.
  const left = transposeA ? transpose(a.dtype === 'f16' ? toFloat(a) : a) : a
  const [m, k] = left.shape.slice(-2) as [number, number]
  const n = b.shape[transposeB ? 0 : 1] as number
  const { residual } = epilogue
  if (residual) expectShape('matmul: residual', residual.shape, [...batch, m, n])
  const flat = residual && reshape(residual, [sizeOf(batch) * m, n])
  const rows = product(reshape(left, [sizeOf(batch) * m, k]), b, false, transposeB, { ...epilogue, residual: flat })
  return reshape(rows, [...batch, m, n])
}
