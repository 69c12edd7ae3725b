import source from '../../wgsl/grid_sample.wgsl'
import adjointSource from '../../wgsl/grid_sample_adjoint.wgsl'
import adjointSharedSource from '../../wgsl/grid_sample_adjoint_shared.wgsl'
import boxesSource from '../../wgsl/grid_sample_boxes.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { FILL, teamOf } from './team.ts'

const sampleKernel = defineKernel('grid_sample', source)
const boxesKernel = defineKernel('grid_sample_boxes', boxesSource)
const adjointKernel = defineKernel('grid_sample_adjoint', adjointSource)
const adjointSharedKernel = defineKernel('grid_sample_adjoint_shared', adjointSharedSource)

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
  // On a GPU the rows of a tile have a lane each.
  const { software } = device.info
  const boxTeam = software ? { constants: {}, grid: loopGrid(device, tiles, 64) } : teamOf(TILE, tiles)
  device.dispatch(boxesKernel.variant(boxTeam.constants), [grid, boxes], { count: tiles, ...shared }, boxTeam.grid, {
    flops: points * 8,
    bytes: points * 8,
  })
  const pixels = batch * height * width
  const vectors = software ? 1 : vectorsFor(planes, pixels)
  const blocks = Math.ceil(planes / (4 * vectors))
  const count = blocks * pixels
  const out = device.alloc(batch * planes * height * width * 4)
  const work = { flops: points * planes * 16, bytes: 4 * batch * planes * (outHeight * outWidth + height * width) }
  const params = { count, planes, blocks, ...shared }
  const buffers = [g, grid, boxes, out]
  if (software) {
    device.dispatch(adjointKernel.variant({ DX: dx, DY: dy }), buffers, params, loopGrid(device, count, 64), work)
  } else {
    const team = teamOf(TILE, count)
    const variant = adjointSharedKernel.variant({ DX: dx, DY: dy, VECTORS: vectors, ...team.constants })
    device.dispatch(variant, buffers, params, team.grid, work)
  }
  device.release(boxes)
  return out
}

/** Vectors of four planes that an invocation owns on a GPU: as many as leave enough invocations. */
const vectorsFor = (planes: number, pixels: number): number =>
  [4, 2].find((vectors) => planes > 2 * vectors && TILE * pixels * Math.ceil(planes / (4 * vectors)) >= FILL) ?? 1
