import normSource from '../../wgsl/norm.wgsl'
import inputGradSource from '../../wgsl/norm_input_grad.wgsl'
import weightGradSource from '../../wgsl/norm_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer } from '../gpu/index.ts'
import {
  ACTIVATION,
  epilogueConstants,
  launch,
  launchByChannel,
  type NormEpilogue,
  type NormSizes,
} from './norm-launch.ts'
import { reduce } from './reduce.ts'

const normKernel = defineKernel('norm', normSource)
const inputGradKernel = defineKernel('norm_input_grad', inputGradSource)
const weightGradKernel = defineKernel('norm_weight_grad', weightGradSource)

/** y = normalised x, and the statistics (mean, 1/√(variance + eps)) of each group, interleaved. 8 FLOPs an element. */
export function norm(
  device: Device,
  x: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
  eps: number,
): { y: GpuBuffer; stats: GpuBuffer } {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const y = device.alloc(elements * 4)
  const stats = device.alloc(groups * 8)
  const variant = normKernel.variant(epilogueConstants(constants, epilogue))
  const buffers = [x, epilogue.weight ?? x, epilogue.bias ?? x, y, stats]
  const params = { groups, groups_per_sample, channels, inner, eps }
  device.dispatch(variant, buffers, params, grid, { flops: elements * 8, bytes: elements * 8 })
  return { y, stats }
}

/**
 * The gradient with respect to x, plus a residual. With an activation, `epilogue` is what the forward pass had; else its
 * bias is not read.
 */
export function normInputGrad(
  device: Device,
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
  residual?: GpuBuffer,
): GpuBuffer {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const dx = device.alloc(elements * 4)
  const variant = inputGradKernel.variant({
    ...epilogueConstants(constants, epilogue),
    RESIDUAL: residual !== undefined,
  })
  const buffers = [g, x, stats, epilogue.weight ?? x, epilogue.bias ?? x, residual ?? x, dx]
  const params = { groups, groups_per_sample, channels, inner }
  device.dispatch(variant, buffers, params, grid, { flops: elements * 12, bytes: elements * (residual ? 16 : 12) })
  return dx
}

/** The gradients with respect to the weight and the bias: [channels] each. */
export function normWeightGrad(
  device: Device,
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  sizes: NormSizes,
  { weight, bias, activation }: NormEpilogue,
): { weight: GpuBuffer; bias: GpuBuffer } {
  const { constants, elements, params, grid } = launchByChannel(device, sizes)
  const { channels, chunks } = params
  const active = activation !== 'none'
  const variant = weightGradKernel.variant({
    LANES: constants.LANES,
    SIZE: constants.SIZE,
    Team: constants.Team,
    V: constants.V,
    WIDTH: constants.WIDTH,
    WEIGHT: active && weight !== undefined,
    BIAS: active && bias !== undefined,
    ACTIVATION: ACTIVATION[activation],
  })
  const partial = { weight: device.alloc(chunks * channels * 4), bias: device.alloc(chunks * channels * 4) }
  const buffers = [g, x, stats, weight ?? x, bias ?? x, partial.weight, partial.bias]
  device.dispatch(variant, buffers, params, grid, { flops: elements * 6, bytes: elements * 8 })
  if (chunks === 1) return partial
  const total = (parts: GpuBuffer) => {
    const sum = reduce(device, parts, 1, chunks, channels)
    device.release(parts)
    return sum
  }
  return { weight: total(partial.weight), bias: total(partial.bias) }
}
