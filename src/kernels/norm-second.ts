import momentsSource from '../../wgsl/norm_moments.wgsl'
import secondGradSource from '../../wgsl/norm_second_grad.wgsl'
import secondWeightGradSource from '../../wgsl/norm_second_weight_grad.wgsl'
import tangentSource from '../../wgsl/norm_tangent.wgsl'
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

// Second order: the gradients of ⟨u, dx⟩ + ⟨directions, (dweight, dbias)⟩, where normInputGrad and normWeightGrad give dx,
// dweight and dbias. u: like x; directions: [2, channels], for the weight and for the bias.

const momentsKernel = defineKernel('norm_moments', momentsSource)
const tangentKernel = defineKernel('norm_tangent', tangentSource)
const secondGradKernel = defineKernel('norm_second_grad', secondGradSource)
const secondWeightGradKernel = defineKernel('norm_second_weight_grad', secondWeightGradSource)

/** For each group (mean, 1/√(variance + eps), mean(u), mean(u·x̂)), x̂ the normalised x; `stats` are those of `norm`. */
export function normMoments(device: Device, u: GpuBuffer, x: GpuBuffer, stats: GpuBuffer, sizes: NormSizes): GpuBuffer {
  const { constants, elements, groups, channels, inner, grid } = launch(device, sizes)
  const { LANES, SIZE, Team, V, WIDTH } = constants
  const moments = device.alloc(groups * 16)
  const variant = momentsKernel.variant({ LANES, SIZE, Team, V, WIDTH })
  const work = { flops: elements * 5, bytes: elements * 8 }
  device.dispatch(variant, [u, x, stats, moments], { groups, count: channels * inner }, grid, work)
  return moments
}

/** The gradient with respect to g, which is the derivative of the norm along (u, directions). */
export function normTangent(
  device: Device,
  u: GpuBuffer,
  x: GpuBuffer,
  moments: GpuBuffer,
  directions: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
): GpuBuffer {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const { LANES, SIZE, V, W, WIDTH } = constants
  const { weight, bias, activation } = epilogue
  const out = device.alloc(elements * 4)
  const variant = tangentKernel.variant({
    LANES,
    SIZE,
    V,
    W,
    WIDTH,
    WEIGHT: weight !== undefined,
    BIAS: bias !== undefined,
    ACTIVATION: ACTIVATION[activation],
  })
  const buffers = [u, x, moments, directions, weight ?? directions, bias ?? directions, out]
  const work = { flops: elements * 12, bytes: elements * 12 }
  device.dispatch(variant, buffers, { groups, groups_per_sample, channels, inner }, grid, work)
  return out
}

/** The gradient with respect to x. */
export function normSecondGrad(
  device: Device,
  u: GpuBuffer,
  g: GpuBuffer,
  x: GpuBuffer,
  moments: GpuBuffer,
  directions: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
): GpuBuffer {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const out = device.alloc(elements * 4)
  const variant = secondGradKernel.variant(epilogueConstants(constants, epilogue))
  const { weight = directions, bias = directions } = epilogue
  const params = { groups, groups_per_sample, channels, inner }
  const work = { flops: elements * 32, bytes: elements * 16 }
  device.dispatch(variant, [u, g, x, moments, directions, weight, bias, out], params, grid, work)
  return out
}

/** The gradients with respect to the weight and the bias: [2, channels]. */
export function normSecondWeightGrad(
  device: Device,
  u: GpuBuffer,
  g: GpuBuffer,
  x: GpuBuffer,
  moments: GpuBuffer,
  directions: GpuBuffer,
  sizes: NormSizes,
  { weight, bias, activation }: NormEpilogue,
): GpuBuffer {
  const { constants, elements, params, grid } = launchByChannel(device, sizes)
  const { channels, chunks } = params
  const variant = secondWeightGradKernel.variant({
    LANES: constants.LANES,
    SIZE: constants.SIZE,
    Team: constants.Team,
    V: constants.V,
    WIDTH: constants.WIDTH,
    WEIGHT: weight !== undefined,
    BIAS: bias !== undefined,
    ACTIVATION: ACTIVATION[activation],
  })
  const out = device.alloc(2 * chunks * channels * 4)
  const buffers = [u, g, x, moments, directions, weight ?? directions, bias ?? directions, out]
  device.dispatch(variant, buffers, params, grid, { flops: elements * 20, bytes: elements * 12 })
  if (chunks === 1) return out
  const total = reduce(device, out, 2, chunks, channels)
  device.release(out)
  return total
}
