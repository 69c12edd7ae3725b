import { optionError, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op, type VjpContext } from '../op.ts'
import { formatShape, type Shape, sameShape } from '../shape.ts'
import { type Tensor, tensor, zeros } from '../tensor.ts'
import { mul, scale } from './arithmetic.ts'
import { concat, permute } from './layout.ts'
import { matmul } from './matmul.ts'
import { reshape } from './reshape.ts'
import { sum, sumTo } from './sum.ts'

// Sampling is linear in the image and, between pixels, of first degree in each coordinate of the grid. So sampling, its
// adjoint, and both with weights replaced by their derivatives along x or y, are each other's gradients of every order.

export type SampleAttrs = kernels.GridDerivative
export type AdjointAttrs = kernels.GridDerivative & { readonly size: readonly [number, number] }

function sizesOf(name: string, x: Shape, grid: Shape, size: readonly [number, number] | undefined): kernels.GridSizes {
  const [samples, channels, h, w] = x as [number, number, number, number]
  const fits =
    x.length === 4 &&
    grid.length === 4 &&
    grid[3] === 2 &&
    (grid[0] === samples || grid[0] === 1) &&
    [...x, ...grid].every((d) => d > 0) &&
    (!size || (grid[1] === h && grid[2] === w))
  if (!fits) {
    throw shapeError(
      `${name}: ${size ? 'g' : 'x'} has shape ${formatShape(x)}, the grid ${formatShape(grid)}.`,
      'Expected [N, C, H, W] and a grid [N or 1, Ho, Wo, 2] (for the adjoint with H = Ho, W = Wo), none empty.',
    )
  }
  const [batch, outHeight, outWidth] = grid as [number, number, number, number]
  // A shared grid sees the channels of all samples as planes of one image.
  const planes = batch === samples ? channels : samples * channels
  const [height, width] = size ?? [h, w]
  return { batch, planes, height, width, outHeight, outWidth }
}

export const gridSampleOp: Op<SampleAttrs> = defineOp<SampleAttrs>({
  name: 'gridSample',
  shape([x, grid]) {
    sizesOf('gridSample2d', (x as Tensor).shape, (grid as Tensor).shape, undefined)
    const [samples, channels] = (x as Tensor).shape as [number, number]
    const [, outHeight, outWidth] = (grid as Tensor).shape as [number, number, number]
    return [samples, channels, outHeight, outWidth]
  },
  forward(device, [x, grid], attrs) {
    const [{ buffer, shape }, points] = [x as Tensor, grid as Tensor]
    const sizes = sizesOf('gridSample2d', shape, points.shape, undefined)
    return kernels.gridSample(device, buffer, points.buffer, sizes, attrs)
  },
  saves: [0, 1],
  vjp(context) {
    const { grad, needs, shapes, attrs, input } = context
    const [, , height, width] = shapes[0] as [number, number, number, number]
    return [
      needs[0] ? adjoint(grad, input(1), { ...attrs, size: [height, width] }) : undefined,
      needs[1] ? gridGrad(context, grad, input(0), [height, width]) : undefined,
    ]
  },
})

export const gridSampleAdjointOp: Op<AdjointAttrs> = defineOp<AdjointAttrs>({
  name: 'gridSampleAdjoint',
  shape([g, grid], { size }) {
    if (!size.every((d) => Number.isInteger(d) && d > 0)) {
      throw optionError(`gridSampleAdjoint: size is [${size}].`, "Pass the image's height and width.")
    }
    sizesOf('gridSampleAdjoint', (g as Tensor).shape, (grid as Tensor).shape, size)
    return [...(g as Tensor).shape.slice(0, 2), ...size]
  },
  forward(device, [g, grid], attrs) {
    const [{ buffer, shape }, points] = [g as Tensor, grid as Tensor]
    const sizes = sizesOf('gridSampleAdjoint', shape, points.shape, attrs.size)
    return kernels.gridSampleAdjoint(device, buffer, points.buffer, sizes, attrs)
  },
  saves: [0, 1],
  vjp(context) {
    const { grad, needs, attrs, input } = context
    return [
      needs[0] ? gridSampleOp.apply([grad, input(1)], { dx: attrs.dx, dy: attrs.dy }) : undefined,
      // ⟨u, adjoint(g)⟩ = ⟨sample(u), g⟩
      needs[1] ? gridGrad(context, input(0), grad, attrs.size) : undefined,
    ]
  },
})

const adjoint = (g: Tensor, grid: Tensor, attrs: AdjointAttrs): Tensor => gridSampleAdjointOp.apply([g, grid], attrs)

/** The gradient of ⟨g, sample(x)⟩ with respect to the grid: [N or 1, Ho, Wo, 2]. */
function gridGrad(
  { input, attrs }: VjpContext<SampleAttrs>,
  g: Tensor,
  x: Tensor,
  [height, width]: readonly [number, number],
): Tensor {
  const grid = input(1)
  const [batch, outHeight, outWidth] = grid.shape as [number, number, number]
  const along = (axis: 'dx' | 'dy', pixels: number): Tensor => {
    const shape = [batch, outHeight, outWidth, 1]
    // Of first degree: a second derivative along the same axis is zero.
    if (attrs[axis]) return zeros(g.device, shape)
    const slope = sum(mul(g, gridSampleOp.apply([x, grid], { dx: attrs.dx, dy: attrs.dy, [axis]: true })), 1)
    // Grid coordinates run over 2 where pixels run over size − 1.
    return reshape(scale(sumTo(slope, [batch, outHeight, outWidth]), (pixels - 1) / 2), shape)
  }
  return concat([along('dx', width), along('dy', height)], 3)
}

/**
 * Bilinear sampling of images, as PyTorch's `grid_sample` with `align_corners=True` and zero padding: −1 and 1 are the
 * centres of the outermost pixels, and what lies outside is 0. Gradients with respect to both are right at every order
 * (with respect to the grid where it is smooth: away from pixel centres).
 * @param x [N, C, H, W]
 * @param grid [N, Ho, Wo, 2], or [1, Ho, Wo, 2] for all samples: points (x, y)
 * @returns [N, C, Ho, Wo]
 */
export const gridSample2d = (x: Tensor, grid: Tensor): Tensor => gridSampleOp.apply([x, grid], { dx: false, dy: false })

/**
 * The grid of an affine map, as PyTorch's `affine_grid` with `align_corners=True`: point (x, y) of the output, both
 * from −1 to 1, is sampled at theta · (x, y, 1).
 * @param theta [N, 2, 3]
 * @param size height and width of the output
 * @returns [N, Ho, Wo, 2]
 */
export function affineGrid(theta: Tensor, size: readonly [number, number]): Tensor {
  const [samples] = theta.shape as [number]
  if (!sameShape(theta.shape, [samples, 2, 3])) {
    throw shapeError(`affineGrid: theta has shape ${formatShape(theta.shape)}.`, 'Expected [N, 2, 3].')
  }
  const [height, width] = size
  if (size.length !== 2 || !size.every((d) => Number.isInteger(d) && d > 0)) {
    throw optionError(`affineGrid: size is [${size}].`, "Pass the output's height and width.")
  }
  // A single pixel lies in the middle, as in PyTorch.
  const coordinate = (i: number, pixels: number) => (pixels > 1 ? (2 * i) / (pixels - 1) - 1 : 0)
  const base = Float32Array.from({ length: height * width * 3 }, (_, i) => {
    const point = Math.floor(i / 3)
    if (i % 3 === 0) return coordinate(point % width, width)
    return i % 3 === 1 ? coordinate(Math.floor(point / width), height) : 1
  })
  const points = tensor(theta.device, base, { shape: [height * width, 3] })
  const rows = reshape(theta, [samples * 2, 3])
  const flat = reshape(matmul(rows, points, { transposeB: true }), [samples, 2, height * width])
  return reshape(permute(flat, [0, 2, 1]), [samples, height, width, 2])
}
