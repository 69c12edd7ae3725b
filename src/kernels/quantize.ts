import source from '../../wgsl/quantize.wgsl'
import lookupSource from '../../wgsl/quantize_lookup.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { FILL, teamOf } from './team.ts'

const kernel = defineKernel('quantize', source)
const lookupKernel = defineKernel('quantize_lookup', lookupSource)

/** Rows that a lane walks at least, beside which joining the lanes costs little. */
const LEAST_ROWS = 4

/** How many invocations share a position: on a GPU as few as fill it, on a software adapter one. */
function lanesFor(device: Device, positions: number, rows: number): number {
  if (device.info.software || positions >= FILL) return 1
  const worthwhile = [8, 64, 256].filter((lanes) => rows >= LEAST_ROWS * lanes)
  return worthwhile.find((lanes) => positions * lanes >= FILL) ?? worthwhile.at(-1) ?? 1
}

/** Index of the row of codebook: [rows, channels] nearest to each position of z: [samples, channels, inner]. */
export function quantize(
  device: Device,
  z: GpuBuffer,
  codebook: GpuBuffer,
  samples: number,
  channels: number,
  inner: number,
  rows: number,
): GpuBuffer {
  const positions = samples * inner
  const indices = device.alloc(Math.max(4, positions * 4))
  const CHANNELS = channels === 3 || channels === 4 ? channels : 0
  const lanes = lanesFor(device, positions, rows)
  const work = { flops: 3 * positions * rows * channels, bytes: 4 * (positions * (channels + 1) + rows * channels) }
  const { constants, grid } =
    lanes === 1 ? { constants: {}, grid: loopGrid(device, positions, 64) } : teamOf(lanes, positions)
  const params = { positions, inner, channels, rows }
  device.dispatch(kernel.variant({ CHANNELS, ...constants }), [z, codebook, indices], params, grid, work)
  return indices
}

/** Row indices[n, p] of the codebook at [n, :, p] of the result: [samples, channels, inner]. */
export function quantizeLookup(
  device: Device,
  codebook: GpuBuffer,
  indices: GpuBuffer,
  samples: number,
  channels: number,
  inner: number,
): GpuBuffer {
  const count = samples * channels * inner
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, inner, channels }
  const work = { flops: 0, bytes: count * 8 }
  device.dispatch(lookupKernel.variant(), [codebook, indices, out], params, loopGrid(device, count, 64), work)
  return out
}
