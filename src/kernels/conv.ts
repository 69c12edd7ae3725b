import convSource from '../../wgsl/conv2d.wgsl'
import dilateSource from '../../wgsl/conv2d_dilate.wgsl'
import inputGradSource from '../../wgsl/conv2d_input_grad.wgsl'
import packSource from '../../wgsl/conv2d_pack.wgsl'
import tiledSource from '../../wgsl/conv2d_tiled.wgsl'
import weightGradSource from '../../wgsl/conv2d_weight_grad.wgsl'
import weightGradTiledSource from '../../wgsl/conv2d_weight_grad_tiled.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { reduce } from './reduce.ts'
import { lanesOf, sizeFor, unrolls } from './tile.ts'

const convKernel = defineKernel('conv2d', convSource)
const inputGradKernel = defineKernel('conv2d_input_grad', inputGradSource)
const tiledKernel = defineKernel('conv2d_tiled', tiledSource)
const packKernel = defineKernel('conv2d_pack', packSource)
const dilateKernel = defineKernel('conv2d_dilate', dilateSource)
const weightGradKernel = defineKernel('conv2d_weight_grad', weightGradSource)
const weightGradTiledKernel = defineKernel('conv2d_weight_grad_tiled', weightGradTiledSource)

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

/** Kernel sizes that have variants; others run on the plain kernels. */
const isTiled = ({ kh, kw }: Conv2dSizes): boolean => kh === kw && (kh === 1 || kh === 3 || kh === 5)

/** The weights in the order that the tiled kernel reads them. */
function pack(device: Device, weight: GpuBuffer, transpose: boolean, { o, c, kh, kw }: Conv2dSizes): GpuBuffer {
  const count = Math.ceil(o / 16) * c * kh * kw
  const packed = device.alloc(count * 16 * 4)
  const params = { count, outputs: o, inputs: c, kh, kw }
  const work = { flops: 0, bytes: 4 * (count * 16 + o * c * kh * kw) }
  const variant = packKernel.variant({ TRANSPOSE: transpose })
  device.dispatch(variant, [weight, packed], params, loopGrid(device, count, 64), work)
  return packed
}

/** Convolution of x by packed weights, with the sizes that it has as a convolution of its own. */
function tiled(
  device: Device,
  x: GpuBuffer,
  weight: GpuBuffer,
  transpose: boolean,
  bias: GpuBuffer | undefined,
  sizes: Conv2dSizes,
  lanes: 4 | 8,
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const blocks = Math.ceil(o / 16)
  const packed = device.derive(weight, `conv2d_pack ${transpose} ${o} ${c} ${kh} ${kw}`, () =>
    pack(device, weight, transpose, sizes),
  )
  const out = device.alloc(Math.max(4, n * o * ho * wo * 4))
  const segments = Math.ceil(wo / 4)
  const units = n * ho * segments
  const size = sizeFor(device, units, lanes)
  const variant = tiledKernel.variant({
    KH: kh,
    KW: kw,
    LANES: lanes,
    Chunk: lanes === 8 ? 'vec2f' : 'vec4f',
    BIAS: bias !== undefined,
    STEP: stride === 1,
    SIZE: size,
    DOWN: unrolls(device) && kh === 3 && stride === 1 ? 3 : 1,
    Out: wo % 4 === 0 ? 'vec4f' : 'f32',
    Store: wo % 4 === 0 ? 'store_four' : 'store_each',
  })
  const params = { units, c, h, w, o, ho, wo, segments, stride, top, left }
  device.dispatch(
    variant,
    [x, packed, bias ?? packed, out],
    params,
    [Math.ceil(units / size), blocks, 1],
    workOf(sizes),
  )
  return out
}

/** out [n, o, ho, wo] = x ⋆ weight (+ bias [o]). */
export function conv2d(
  device: Device,
  x: GpuBuffer,
  weight: GpuBuffer,
  bias: GpuBuffer | undefined,
  sizes: Conv2dSizes,
): GpuBuffer {
  const lanes = lanesOf(device)
  if (lanes && isTiled(sizes)) return tiled(device, x, weight, false, bias, sizes, lanes)
  const count = sizes.n * sizes.o * sizes.ho * sizes.wo
  const out = device.alloc(Math.max(4, count * 4))
  const variant = convKernel.variant({ BIAS: bias !== undefined })
  const params = { count, ...sizes }
  device.dispatch(variant, [x, weight, bias ?? weight, out], params, loopGrid(device, count, 64), workOf(sizes))
  return out
}

/** The gradient of conv2d with respect to x: out [n, c, h, w] of grad [n, o, ho, wo] and weight. */
export function conv2dInputGrad(device: Device, grad: GpuBuffer, weight: GpuBuffer, sizes: Conv2dSizes): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const lanes = lanesOf(device)
  if (lanes && isTiled(sizes)) {
    // A convolution of the gradient, with zeros between its elements, by the turned weights.
    const spread = stride === 1 ? grad : dilate(device, grad, n * o, ho, wo, stride)
    const [sh, sw] = [(ho - 1) * stride + 1, (wo - 1) * stride + 1]
    const turned = {
      n,
      c: o,
      h: sh,
      w: sw,
      o: c,
      ho: h,
      wo: w,
      kh,
      kw,
      stride: 1,
      top: kh - 1 - top,
      left: kw - 1 - left,
    }
    const out = tiled(device, spread, weight, true, undefined, turned, lanes)
    if (spread !== grad) device.release(spread)
    return out
  }
  const count = n * c * h * w
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, ...sizes }
  device.dispatch(inputGradKernel.variant(), [grad, weight, out], params, loopGrid(device, count, 64), workOf(sizes))
  return out
}

/** Zeros between the elements of `planes` maps [h, w]. */
function dilate(device: Device, x: GpuBuffer, planes: number, h: number, w: number, stride: number): GpuBuffer {
  const [ho, wo] = [(h - 1) * stride + 1, (w - 1) * stride + 1]
  const count = planes * ho * wo
  const out = device.alloc(count * 4)
  const work = { flops: 0, bytes: 4 * (planes * h * w + count) }
  device.dispatch(dilateKernel.variant(), [x, out], { count, h, w, ho, wo, stride }, loopGrid(device, count, 64), work)
  return out
}

/** Bytes of partial sums that a weight gradient may use, well below what every adapter binds (128 MiB). */
const MAX_PARTIAL_BYTES = 32 << 20

/** The gradient of conv2d with respect to the weight: out [o, c, kh, kw] of x and grad [n, o, ho, wo]. */
export function conv2dWeightGrad(device: Device, x: GpuBuffer, grad: GpuBuffer, sizes: Conv2dSizes): GpuBuffer {
  const lanes = lanesOf(device)
  if (lanes) return weightGradTiled(device, x, grad, sizes, lanes)
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const count = o * c * kh * kw
  // Where there are so many weights, their workgroups fill the adapter with fewer lanes.
  const splits = 64 * count * 4 <= MAX_PARTIAL_BYTES ? 64 : 8
  const partial = device.alloc(Math.max(4, splits * count * 4))
  const params = { n, c, h, w, o, ho, wo, stride, top, left }
  const variant = weightGradKernel.variant({ KH: kh, KW: kw, STEP: stride === 1, LANES: splits })
  device.dispatch(variant, [x, grad, partial], params, [c, Math.ceil(o / 8), 1], workOf(sizes))
  const out = reduce(device, 'SUM', partial, 1, splits, count)
  device.release(partial)
  return out
}

/**
 * What an invocation of conv2d_weight_grad_tiled owns. All taps of a channel, up to 3×3, need the fewest loads; a row
 * of taps fills more lanes where there are few channels, and needs a third of the registers.
 */
function weightTile(device: Device, { c, kh, kw }: Conv2dSizes): { CHANNELS: number; TALL: number; WIDE: number } {
  if (kh === 1 && kw === 1) return { CHANNELS: c >= 32 ? 4 : 1, TALL: 1, WIDE: 1 }
  const whole = device.info.software && c >= 8 && kh <= 3 && kw <= 3
  return { CHANNELS: 1, TALL: whole ? kh : 1, WIDE: kw <= 5 ? kw : 1 }
}

function weightGradTiled(device: Device, x: GpuBuffer, grad: GpuBuffer, sizes: Conv2dSizes, lanes: 4 | 8): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const tile = weightTile(device, sizes)
  // On software adapters a workgroup is one subgroup, so that few lanes idle.
  const size = device.info.software ? lanes : 64
  const units = Math.ceil(c / tile.CHANNELS) * (kh / tile.TALL) * (kw / tile.WIDE)
  const groups = Math.ceil(units / size)
  const blocks = Math.ceil(o / 16)
  const count = o * c * kh * kw
  const rows = n * ho
  // As many parts of the sum as fill the adapter.
  const wanted = Math.ceil((device.info.software ? 64 : 1024) / (groups * blocks))
  const affordable = Math.max(1, Math.floor(MAX_PARTIAL_BYTES / (4 * count)))
  const rowsEach = Math.ceil(rows / Math.min(rows, wanted, affordable))
  const splits = Math.ceil(rows / rowsEach)
  const partial = device.alloc(Math.max(4, splits * count * 4))
  const variant = weightGradTiledKernel.variant({
    CHANNELS: tile.CHANNELS,
    TALL: tile.TALL,
    WIDE: tile.WIDE,
    STEP: stride === 1,
    LANES: lanes,
    SIZE: size,
    COLUMNS: unrolls(device) && stride === 1 ? 4 : 1,
  })
  const params = { units, rows, rowsEach, c, h, w, o, ho, wo, kh, kw, stride, top, left }
  device.dispatch(variant, [x, grad, partial], params, [groups, blocks, splits], workOf(sizes))
  if (splits === 1) return partial
  const out = reduce(device, 'SUM', partial, 1, splits, count)
  device.release(partial)
  return out
}
