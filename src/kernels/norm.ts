import normSource from '../../wgsl/norm.wgsl'
import inputGradSource from '../../wgsl/norm_input_grad.wgsl'
import secondGradSource from '../../wgsl/norm_second_grad.wgsl'
import weightGradSource from '../../wgsl/norm_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer } from '../gpu/index.ts'
import { reduce } from './reduce.ts'
import { teamFor } from './team.ts'

const normKernel = defineKernel('norm', normSource)
const inputGradKernel = defineKernel('norm_input_grad', inputGradSource)
const secondGradKernel = defineKernel('norm_second_grad', secondGradSource)
const weightGradKernel = defineKernel('norm_weight_grad', weightGradSource)

/** Sizes of a group norm of x: [samples, channels, inner]. Layer norm over D is channels = D, inner = 1, groups = 1. */
export interface NormSizes {
  readonly samples: number
  readonly channels: number
  readonly inner: number
  /** Groups of one sample; divides `channels`. */
  readonly groups: number
}

export type Activation = 'none' | 'silu' | 'relu'

/** The learned scale and shift, and the activation fused behind them. */
export interface NormEpilogue {
  readonly weight?: GpuBuffer | undefined
  readonly bias?: GpuBuffer | undefined
  readonly activation: Activation
}

/** Elements that an invocation takes at once: four neighbours, where they share a channel or are channels themselves. */
const widthOf = (channels: number, inner: number): 1 | 4 =>
  inner % 4 === 0 || (inner === 1 && channels % 4 === 0) ? 4 : 1

function launch(device: Device, { samples, channels, inner, groups }: NormSizes) {
  const own = channels / groups
  const width = widthOf(own, inner)
  const all = samples * groups
  const { constants, grid } = teamFor(device, all, own * inner)
  const { LANES, SIZE, Team } = constants
  const V = width === 4 ? 'vec4f' : 'f32'
  const W = width === 4 && inner === 1 ? 'vec4f' : 'f32'
  return {
    constants: { LANES, SIZE, Team, V, W, WIDTH: width },
    elements: all * own * inner,
    groups: all,
    groups_per_sample: groups,
    // In units of `width` elements.
    channels: inner === 1 ? own / width : own,
    inner: inner === 1 ? 1 : inner / width,
    grid,
  }
}

const ACTIVATION = { none: 'NONE', silu: 'SILU', relu: 'RELU' } as const

// Objects are written out here and below: to spread several into one takes longer than all else in a launch.

/** The variants of the kernels that compute or undo the epilogue. */
const epilogueConstants = (
  { LANES, SIZE, Team, V, W, WIDTH }: ReturnType<typeof launch>['constants'],
  { weight, bias, activation }: NormEpilogue,
) => ({
  LANES,
  SIZE,
  Team,
  V,
  W,
  WIDTH,
  WEIGHT: weight !== undefined,
  BIAS: bias !== undefined,
  ACTIVATION: ACTIVATION[activation],
})

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

/** The gradient with respect to x. With an activation, `epilogue` is what the forward pass had; else its bias is not read. */
export function normInputGrad(
  device: Device,
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
): GpuBuffer {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const dx = device.alloc(elements * 4)
  const variant = inputGradKernel.variant(epilogueConstants(constants, epilogue))
  const buffers = [g, x, stats, epilogue.weight ?? x, epilogue.bias ?? x, dx]
  const params = { groups, groups_per_sample, channels, inner }
  device.dispatch(variant, buffers, params, grid, { flops: elements * 12, bytes: elements * 12 })
  return dx
}

/** The gradient with respect to x of ⟨u, normInputGrad(g, x)⟩, without activation. */
export function normSecondGrad(
  device: Device,
  u: GpuBuffer,
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  weight: GpuBuffer | undefined,
  sizes: NormSizes,
): GpuBuffer {
  const { constants, elements, groups, groups_per_sample, channels, inner, grid } = launch(device, sizes)
  const out = device.alloc(elements * 4)
  const variant = secondGradKernel.variant({ ...constants, WEIGHT: weight !== undefined })
  const params = { groups, groups_per_sample, channels, inner }
  const work = { flops: elements * 24, bytes: elements * 16 }
  device.dispatch(variant, [u, g, x, stats, weight ?? x, out], params, grid, work)
  return out
}

/** Partial sums that a weight gradient is spread over, if there are enough samples. */
const HARDWARE_PARTS = 4096
const SOFTWARE_PARTS = 64

/** The gradient with respect to the weight or the bias: [channels]. */
export function normWeightGrad(
  device: Device,
  of: 'weight' | 'bias',
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  { samples, channels, inner, groups }: NormSizes,
  epilogue: NormEpilogue,
): GpuBuffer {
  const width = inner % 4 === 0 ? 4 : 1
  const spread = device.info.software ? SOFTWARE_PARTS : HARDWARE_PARTS
  const wanted = Math.min(samples, Math.max(1, Math.floor(spread / channels)))
  const perChunk = Math.max(Math.ceil(samples / wanted), Math.min(samples, Math.ceil(64 / inner)))
  const chunks = Math.ceil(samples / perChunk)
  const out = device.alloc(chunks * channels * 4)
  const { weight, bias, activation } = epilogue
  const active = activation !== 'none'
  const { constants, grid } = teamFor(device, chunks * channels, inner)
  const variant = weightGradKernel.variant({
    LANES: constants.LANES,
    SIZE: constants.SIZE,
    Team: constants.Team,
    V: width === 4 ? 'vec4f' : 'f32',
    WIDTH: width,
    OF_BIAS: of === 'bias',
    WEIGHT: active && weight !== undefined,
    BIAS: active && bias !== undefined,
    ACTIVATION: ACTIVATION[activation],
  })
  const params = {
    samples,
    channels,
    inner: inner / width,
    groups_per_sample: groups,
    chunks,
    samples_per_chunk: perChunk,
  }
  const elements = samples * channels * inner
  const work = { flops: elements * 4, bytes: elements * 8 }
  device.dispatch(variant, [g, x, stats, weight ?? x, bias ?? x, out], params, grid, work)
  if (chunks === 1) return out
  const total = reduce(device, 'SUM', out, 1, chunks, channels)
  device.release(out)
  return total
}
