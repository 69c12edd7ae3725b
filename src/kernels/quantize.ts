import source from '../../wgsl/quantize.wgsl'
import lookupSource from '../../wgsl/quantize_lookup.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const kernel = defineKernel('quantize', source)
const lookupKernel = defineKernel('quantize_lookup', lookupSource)

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
  const variant = kernel.variant({ CHANNELS: channels === 3 || channels === 4 ? channels : 0 })
  const work = { flops: 3 * positions * rows * channels, bytes: 4 * (positions * (channels + 1) + rows * channels) }
  device.dispatch(
    variant,
    [z, codebook, indices],
    { positions, inner, channels, rows },
    loopGrid(device, positions, 64),
    work,
  )
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
