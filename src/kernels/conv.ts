import convSource from '../../wgsl/conv2d.wgsl'
import inputGradSource from '../../wgsl/conv2d_input_grad.wgsl'
import weightGradSource from '../../wgsl/conv2d_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'

const convKernel = defineKernel('conv2d', convSource)
const inputGradKernel = defineKernel('conv2d_input_grad', inputGradSource)
const weightGradKernel = defineKernel('conv2d_weight_grad', weightGradSource)

/** Sizes of a convolution x [n, c, h, w], weight [o, c, kh, kw] to [n, o, ho, wo]; `top` and `left` are paddings. */
export interface Conv2dSizes {
  readonly n: number
  readonly c: number
  readonly h: number
  readonly w: number
  readonly o: number
  readonly ho: number
  readonly wo: number
  readonly kh: number
  readonly kw: number
  readonly stride: number
  readonly top: number
  readonly left: number
}

/** A fused multiply-add for every output, input channel and tap; each array read or written once. */
function workOf({ n, c, h, w, o, ho, wo, kh, kw }: Conv2dSizes) {
  return { flops: 2 * n * o * ho * wo * c * kh * kw, bytes: 4 * (n * c * h * w + o * c * kh * kw + n * o * ho * wo) }
}

/** out [n, o, ho, wo] = x ⋆ weight (+ bias [o]). */
export function conv2d(
  device: Device,
  x: GpuBuffer,
  weight: GpuBuffer,
  bias: GpuBuffer | undefined,
  sizes: Conv2dSizes,
): GpuBuffer {
  const count = sizes.n * sizes.o * sizes.ho * sizes.wo
  const out = device.alloc(Math.max(4, count * 4))
  const variant = convKernel.variant({ BIAS: bias !== undefined })
  const params = { count, ...sizes }
  device.dispatch(variant, [x, weight, bias ?? weight, out], params, linearGrid(count, 64), workOf(sizes))
  return out
}

/** The gradient of conv2d with respect to x: out [n, c, h, w] of grad [n, o, ho, wo] and weight. */
export function conv2dInputGrad(device: Device, grad: GpuBuffer, weight: GpuBuffer, sizes: Conv2dSizes): GpuBuffer {
  const count = sizes.n * sizes.c * sizes.h * sizes.w
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, ...sizes }
  device.dispatch(inputGradKernel.variant(), [grad, weight, out], params, linearGrid(count, 64), workOf(sizes))
  return out
}

/** The gradient of conv2d with respect to the weight: out [o, c, kh, kw] of x and grad [n, o, ho, wo]. */
export function conv2dWeightGrad(device: Device, x: GpuBuffer, grad: GpuBuffer, sizes: Conv2dSizes): GpuBuffer {
  const count = sizes.o * sizes.c * sizes.kh * sizes.kw
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, ...sizes }
  device.dispatch(weightGradKernel.variant(), [x, grad, out], params, linearGrid(count, 64), workOf(sizes))
  return out
}
