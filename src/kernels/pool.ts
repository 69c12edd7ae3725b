import gatherSource from '../../wgsl/pool_gather.wgsl'
import maxSource from '../../wgsl/pool_max.wgsl'
import maxGradSource from '../../wgsl/pool_max_grad.wgsl'
import sumSource from '../../wgsl/pool_sum.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { divisors } from './divisors.ts'

const sumKernel = defineKernel('pool_sum', sumSource)
const maxKernel = defineKernel('pool_max', maxSource)
const maxGradKernel = defineKernel('pool_max_grad', maxGradSource)
const gatherKernel = defineKernel('pool_gather', gatherSource)

/** Planes of h × w elements and the ho × wo windows over each. */
export interface PoolSizes {
  readonly planes: number
  readonly h: number
  readonly w: number
  readonly ho: number
  readonly wo: number
  /** Strided windows; `undefined` means adaptive bins. */
  readonly windows: { readonly kernel: number; readonly stride: number; readonly pad: number } | undefined
}

const NO_WINDOWS = { kernel: 0, stride: 0, pad: 0 }

const paramsOf = (count: number, { h, w, ho, wo, windows }: PoolSizes) => {
  const { kernel, stride, pad } = windows ?? NO_WINDOWS
  return { count, h, w, ho, wo, kernel, stride, pad }
}

const alloc = (device: Device, count: number): GpuBuffer => device.alloc(Math.max(4, count * 4))

/**
 * `scale` times the sum over each window, [planes, h, w] to [planes, ho, wo]; with `spread` the adjoint,
 * [planes, ho, wo] to [planes, h, w].
 * FLOPs: one an element of the larger side; bytes: both sides.
 */
export function poolSum(device: Device, x: GpuBuffer, sizes: PoolSizes, scale: number, spread: boolean): GpuBuffer {
  const { planes, h, w, ho, wo, windows } = sizes
  const count = spread ? planes * h * w : planes * ho * wo
  const out = alloc(device, count)
  const { kernel, stride, pad } = windows ?? NO_WINDOWS
  const { SHIFT, sizes: divided } = divisors({ height: spread ? h : ho, width: spread ? w : wo, step: stride })
  const TILES = stride === kernel && pad === 0
  const variant = sumKernel.variant({ SPREAD: spread, TILES, SHIFT, KERNEL: TILES && kernel === 2 ? 2 : 0 })
  const work = { flops: planes * Math.max(h * w, ho * wo), bytes: 4 * planes * (h * w + ho * wo) }
  const { height, width, step } = divided
  const params = { count, h, w, ho, wo, kernel, stride, pad, scale, height, width, step }
  device.dispatch(variant, [x, out], params, loopGrid(device, count, 64), work)
  return out
}

/** The largest element of each window and its index (i32) in the plane: [planes, h, w] to [planes, ho, wo]. */
export function poolMax(device: Device, x: GpuBuffer, sizes: PoolSizes): { output: GpuBuffer; indices: GpuBuffer } {
  const { planes, h, w, ho, wo, windows } = sizes
  const count = planes * ho * wo
  const output = alloc(device, count)
  const indices = alloc(device, count)
  const variant = maxKernel.variant({ ADAPTIVE: windows === undefined })
  const work = { flops: planes * h * w, bytes: 4 * planes * (h * w + 2 * ho * wo) }
  device.dispatch(variant, [x, output, indices], paramsOf(count, sizes), loopGrid(device, count, 64), work)
  return { output, indices }
}

/** Sums each window's gradient into the element that its index names: [planes, ho, wo] to [planes, h, w]. */
export function poolMaxGrad(device: Device, grad: GpuBuffer, indices: GpuBuffer, sizes: PoolSizes): GpuBuffer {
  const { planes, h, w, ho, wo, windows } = sizes
  const count = planes * h * w
  const out = alloc(device, count)
  const variant = maxGradKernel.variant({ ADAPTIVE: windows === undefined })
  const work = { flops: planes * ho * wo, bytes: 4 * planes * (h * w + 2 * ho * wo) }
  device.dispatch(variant, [grad, indices, out], paramsOf(count, sizes), loopGrid(device, count, 64), work)
  return out
}

/** The elements that the indices name, [planes, h, w] to [planes, ho, wo]: the adjoint of poolMaxGrad. */
export function poolGather(device: Device, x: GpuBuffer, indices: GpuBuffer, sizes: PoolSizes): GpuBuffer {
  const { planes, h, w, ho, wo } = sizes
  const count = planes * ho * wo
  const out = alloc(device, count)
  const params = { count, area: h * w, outputs: ho * wo }
  const work = { flops: 0, bytes: 4 * 3 * count }
  device.dispatch(gatherKernel.variant(), [x, indices, out], params, loopGrid(device, count, 64), work)
  return out
}
