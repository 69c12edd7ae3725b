import normSource from '../../wgsl/norm.wgsl'
import inputGradSource from '../../wgsl/norm_input_grad.wgsl'
import secondGradSource from '../../wgsl/norm_second_grad.wgsl'
import weightGradSource from '../../wgsl/norm_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'
import { reduce } from './reduce.ts'

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

/** The learned scale and shift, and the activation fused behind them. */
export interface NormEpilogue {
  readonly weight?: GpuBuffer | undefined
  readonly bias?: GpuBuffer | undefined
  readonly silu: boolean
}

/** Lanes that share a group of `count` elements: at least 8 elements a lane where there are that many. */
const lanesFor = (count: number): number => (count <= 512 ? 8 : count <= 8192 ? 64 : 256)

function launch({ samples, channels, inner, groups }: NormSizes) {
  const count = (channels / groups) * inner
  const lanes = lanesFor(count)
  const all = samples * groups
  return {
    lanes,
    elements: all * count,
    params: { groups: all, groups_per_sample: groups, channels: channels / groups, inner },
    grid: linearGrid(all * lanes, Math.max(64, lanes)),
  }
}

const constants = ({ weight, bias, silu }: NormEpilogue) => ({
  WEIGHT: weight !== undefined,
  BIAS: bias !== undefined,
  SILU: silu,
})

/** y = normalised x, and the statistics (mean, 1/√(variance + eps)) of each group, interleaved. 8 FLOPs an element. */
export function norm(
  device: Device,
  x: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
  eps: number,
): { y: GpuBuffer; stats: GpuBuffer } {
  const { lanes, elements, params, grid } = launch(sizes)
  const y = device.alloc(elements * 4)
  const stats = device.alloc(params.groups * 8)
  const variant = normKernel.variant({ LANES: lanes, ...constants(epilogue) })
  const buffers = [x, epilogue.weight ?? x, epilogue.bias ?? x, y, stats]
  device.dispatch(variant, buffers, { ...params, eps }, grid, { flops: elements * 8, bytes: elements * 8 })
  return { y, stats }
}

/** The gradient with respect to x. With SiLU, `epilogue` is what the forward pass had; else its bias is not read. */
export function normInputGrad(
  device: Device,
  g: GpuBuffer,
  x: GpuBuffer,
  stats: GpuBuffer,
  sizes: NormSizes,
  epilogue: NormEpilogue,
): GpuBuffer {
  const { lanes, elements, params, grid } = launch(sizes)
  const dx = device.alloc(elements * 4)
  const variant = inputGradKernel.variant({ LANES: lanes, ...constants(epilogue) })
  const buffers = [g, x, stats, epilogue.weight ?? x, epilogue.bias ?? x, dx]
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
  const { lanes, elements, params, grid } = launch(sizes)
  const out = device.alloc(elements * 4)
  const variant = secondGradKernel.variant({ LANES: lanes, WEIGHT: weight !== undefined })
  const work = { flops: elements * 24, bytes: elements * 16 }
  device.dispatch(variant, [u, g, x, stats, weight ?? x, out], params, grid, work)
  return out
}

/** Invocations that weight gradients are spread over, if there are enough samples. */
const WEIGHT_GRAD_INVOCATIONS = 32_768

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
  const lanes = inner < 8 ? 1 : inner < 256 ? 8 : 64
  const wanted = Math.min(samples, Math.max(1, Math.floor(WEIGHT_GRAD_INVOCATIONS / (channels * lanes))))
  const perChunk = Math.max(Math.ceil(samples / wanted), Math.min(samples, Math.ceil(64 / inner)))
  const chunks = Math.ceil(samples / perChunk)
  const out = device.alloc(chunks * channels * 4)
  const { weight, bias, silu } = epilogue
  const variant = weightGradKernel.variant({
    LANES: lanes,
    OF_BIAS: of === 'bias',
    SILU: silu,
    WEIGHT: silu && weight !== undefined,
    BIAS: silu && bias !== undefined,
  })
  const params = { samples, channels, inner, groups_per_sample: groups, chunks, samples_per_chunk: perChunk }
  const elements = samples * channels * inner
  const work = { flops: elements * 4, bytes: elements * 8 }
  const grid = linearGrid(chunks * channels * lanes, 64)
  device.dispatch(variant, [g, x, stats, weight ?? x, bias ?? x, out], params, grid, work)
  if (chunks === 1) return out
  const total = reduce(device, 'SUM', out, 1, chunks, channels)
  device.release(out)
  return total
}
