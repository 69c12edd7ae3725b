import { shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp } from '../op.ts'
import { expectShape, formatShape, type Shape, sizeOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'

/** Checks z: [N, C, ...spatial] and codebook: [K, C]; returns N, C, the number of positions, and K. */
function sizesOf(where: string, z: Tensor, codebook: Tensor): [number, number, number, number] {
  if (z.rank < 2 || codebook.rank !== 2 || codebook.shape[0] === 0 || codebook.shape[1] !== z.shape[1]) {
    throw shapeError(
      `${where}: z has shape ${formatShape(z.shape)}, the codebook ${formatShape(codebook.shape)}.`,
      'Expected z [N, C, H, W] and a codebook [K, C] with K ≥ 1.',
    )
  }
  const [samples, channels, ...spatial] = z.shape as [number, number, ...number[]]
  return [samples, channels, sizeOf(spatial), codebook.shape[0] as number]
}

const indexShape = ([samples, , ...spatial]: Shape): number[] => [samples as number, ...spatial]

export const nearestCodeOp = defineOp<Record<never, never>>({
  name: 'nearestCode',
  shape([z, codebook]) {
    sizesOf('nearestCode', z as Tensor, codebook as Tensor)
    return indexShape((z as Tensor).shape)
  },
  dtype: 'i32',
  forward(device, [z, codebook]) {
    const [samples, channels, inner, rows] = sizesOf('nearestCode', z as Tensor, codebook as Tensor)
    return kernels.quantize(device, (z as Tensor).buffer, (codebook as Tensor).buffer, samples, channels, inner, rows)
  },
  saves: [],
  vjp: { none: 'indices are constant almost everywhere' },
})

export const straightThroughOp = defineOp<Record<never, never>>({
  name: 'straightThrough',
  inputTypes: ['f32', 'f32', 'i32'],
  shape([z, codebook, indices]) {
    sizesOf('straightThrough', z as Tensor, codebook as Tensor)
    expectShape('straightThrough: indices', (indices as Tensor).shape, indexShape((z as Tensor).shape))
    return (z as Tensor).shape
  },
  forward(device, [z, codebook, indices]) {
    const [samples, channels, inner] = sizesOf('straightThrough', z as Tensor, codebook as Tensor)
    const [rows, at] = [(codebook as Tensor).buffer, (indices as Tensor).buffer]
    return kernels.quantizeLookup(device, rows, at, samples, channels, inner)
  },
  saves: [],
  vjp: ({ grad }) => [grad, undefined, undefined],
})

interface Quantized {
  /** The nearest rows: [N, C, H, W]. Gradients pass to z unchanged, and not to the codebook. */
  readonly quantized: Tensor
  /** Which rows: i32 [N, H, W]. */
  readonly indices: Tensor
}

/**
 * Vector quantisation (van den Oord et al. 2017): at every position of z: [N, C, H, W] the row of codebook: [K, C]
 * nearest in L2 norm, of equal ones the first. The gradient is straight-through: that of the identity with respect to
 * z. To train the codebook, take its rows by `gather(codebook, indices)`, [N, H, W, C], whose gradient does reach it,
 * for the codebook loss ‖sg(z) − e‖² and the commitment loss ‖z − sg(e)‖².
 */
export function vectorQuantize(z: Tensor, codebook: Tensor): Quantized {
  const rows = codebook.detach()
  const indices = nearestCodeOp.apply([z, rows], {})
  return { quantized: straightThroughOp.apply([z, rows, indices], {}), indices }
}
