import source from '../../wgsl/grid_sample.wgsl'
import adjointSource from '../../wgsl/grid_sample_adjoint.wgsl'
import boxesSource from '../../wgsl/grid_sample_boxes.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const sampleKernel = defineKernel('grid_sample', source)
const boxesKernel = defineKernel('grid_sample_boxes', boxesSource)
const adjointKernel = defineKernel('grid_sample_adjoint', adjointSource)

/** Images [batch, planes, height, width] sampled by grids [batch, outHeight, outWidth, 2]. */
export interface GridSizes {
  readonly batch: number
  readonly planes: number
  readonly height: number
  readonly width: number
  readonly outHeight: number
  readonly outWidth: number
}

/** Which weights are replaced by their derivatives in pixels. */
export interface GridDerivative {
  readonly dx: boolean
  readonly dy: boolean
}

/** [batch, planes, outHeight, outWidth] */
export function gridSample(
  device: Device,
  x: GpuBuffer,
  grid: GpuBuffer,
  { batch, planes, height, width, outHeight, outWidth }: GridSizes,
  { dx, dy }: GridDerivative,
): GpuBuffer {
  const points = outHeight * outWidth
  const count = batch * planes * points
  const out = device.alloc(count * 4)
  const variant = sampleKernel.variant({ DX: dx, DY: dy })
  const work = { flops: count * 16, bytes: count * 28 }
  device.dispatch(variant, [x, grid, out], { count, planes, points, height, width }, loopGrid(device, count, 64), work)
  return out
}

/** Points along a side of a tile: TILE of the kernels. */
const TILE = 8

/** The adjoint: g [batch, planes, outHeight, outWidth] to [batch, planes, height, width]. */
export function gridSampleAdjoint(
  device: Device,
  g: GpuBuffer,
  grid: GpuBuffer,
  { batch, planes, height, width, outHeight, outWidth }: GridSizes,
  { dx, dy }: GridDerivative,
): GpuBuffer {
  const tilesDown = Math.ceil(outHeight / TILE)
  const tilesAcross = Math.ceil(outWidth / TILE)
  const tiles = batch * tilesDown * tilesAcross
  const shared = {
    ...{ out_height: outHeight, out_width: outWidth },
    ...{ tiles_down: tilesDown, tiles_across: tilesAcross, height, width },
  }
  const boxes = device.alloc(tiles * 16)
  const points = batch * outHeight * outWidth
  device.dispatch(boxesKernel.variant(), [grid, boxes], { count: tiles, ...shared }, loopGrid(device, tiles, 64), {
    flops: points * 8,
    bytes: points * 8,
  })
  const blocks = Math.ceil(planes / 4)
  const count = batch * blocks * height * width
  const out = device.alloc(batch * planes * height * width * 4)
  const work = { flops: points * planes * 16, bytes: 4 * batch * planes * (outHeight * outWidth + height * width) }
  const params = { count, planes, blocks, ...shared }
  device.dispatch(
    adjointKernel.variant({ DX: dx, DY: dy }),
    [g, grid, boxes, out],
    params,
    loopGrid(device, count, 64),
    work,
  )
  device.release(boxes)
  return out
}
