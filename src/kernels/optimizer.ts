import adamSource from '../../wgsl/adam.wgsl'
import emaSource from '../../wgsl/ema.wgsl'
import sgdSource from '../../wgsl/sgd.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const sgdKernel = defineKernel('sgd', sgdSource)
const adamKernel = defineKernel('adam', adamSource)
const emaKernel = defineKernel('ema', emaSource)

export interface SgdConstants {
  readonly learningRate: number
  readonly momentum: number
  readonly weightDecay: number
  readonly nesterov: boolean
}

/** Updates `parameter` and, with momentum, `velocity` (needed then) in place: `count` elements. */
export function sgdUpdate(
  device: Device,
  parameter: GpuBuffer,
  gradient: GpuBuffer,
  velocity: GpuBuffer | undefined,
  count: number,
  { learningRate, momentum, weightDecay, nesterov }: SgdConstants,
): void {
  // A binding that is written must be a buffer of its own even where nothing is written.
  const bound = velocity ?? device.alloc(4)
  const variant = sgdKernel.variant({ MOMENTUM: velocity !== undefined, NESTEROV: nesterov })
  const params = { count, learning_rate: learningRate, momentum, weight_decay: weightDecay }
  const work = { flops: count * 6, bytes: count * (velocity ? 20 : 12) }
  device.dispatch(variant, [gradient, parameter, bound], params, loopGrid(device, count, 64), work)
  if (!velocity) device.release(bound)
}

export interface AdamConstants {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly eps: number
  readonly weightDecay: number
  /** Counts from 1. */
  readonly step: number
}

/** Updates `parameter` and its moments in place: `count` elements. */
export function adamUpdate(
  device: Device,
  parameter: GpuBuffer,
  gradient: GpuBuffer,
  mean: GpuBuffer,
  square: GpuBuffer,
  count: number,
  { learningRate, beta1, beta2, eps, weightDecay, step }: AdamConstants,
): void {
  const params = {
    count,
    step: learningRate / (1 - beta1 ** step),
    scale: 1 / Math.sqrt(1 - beta2 ** step),
    beta1,
    one_minus_beta1: 1 - beta1,
    beta2,
    one_minus_beta2: 1 - beta2,
    eps,
    weight_decay: weightDecay,
  }
  const work = { flops: count * 14, bytes: count * 28 }
  device.dispatch(adamKernel.variant(), [gradient, parameter, mean, square], params, loopGrid(device, count, 64), work)
}

/** average += weight · (value − average), in place: `count` elements. */
export function emaUpdate(device: Device, average: GpuBuffer, value: GpuBuffer, count: number, weight: number): void {
  const work = { flops: count * 3, bytes: count * 12 }
  device.dispatch(emaKernel.variant(), [value, average], { count, weight }, loopGrid(device, count, 64), work)
}
