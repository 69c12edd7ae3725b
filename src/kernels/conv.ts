import interleaveSource from '../../wgsl/conv2d_interleave.wgsl'
import packSource from '../../wgsl/conv2d_pack.wgsl'
import tiledSource from '../../wgsl/conv2d_tiled.wgsl'
import weightGradSource from '../../wgsl/conv2d_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { epilogueConstants, type GemmEpilogue, join } from './gemm.ts'
import { bytesEach, type Halves, halved } from './half.ts'
import { mostLoads, sharing, splitsFor, type Tile, tileConstants, tileFor, unrolls } from './tile.ts'

const tiledKernel = defineKernel('conv2d_tiled', tiledSource)
const packKernel = defineKernel('conv2d_pack', packSource)
const interleaveKernel = defineKernel('conv2d_interleave', interleaveSource)
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
function workOf({ n, c, h, w, o, ho, wo, kh, kw }: Conv2dSizes, { left, right }: Halves = {}) {
  const bytes = bytesEach(left) * n * c * h * w + bytesEach(right) * o * c * kh * kw + 4 * n * o * ho * wo
  return { flops: 2 * n * o * ho * wo * c * kh * kw, bytes }
}

/** Lines (a row of taps of one channel) in a step of the kernel. */
function linesOf(device: Device, { kh, kw, stride }: Conv2dSizes, { units }: Tile): number {
  if (kh === 1 && kw === 1) return 4
  return unrolls(device) && kh * (3 * stride + kw) * units <= mostLoads(device) ? kh : 1
}

/** How the weights of one convolution lie for the kernel that computes another. */
interface Packing {
  /** Of the gradient with respect to the input, by its phases (see wgsl/conv2d_pack.wgsl). */
  readonly transpose: boolean
  readonly kh: number
  readonly kw: number
  readonly stride: number
}

/** The weights in the order that the kernel reads them for a convolution of the given sizes. */
function pack(
  device: Device,
  weight: GpuBuffer,
  { transpose, kh, kw, stride }: Packing,
  { o, c, kh: rows, kw: columns }: Conv2dSizes,
  { columns: width }: Tile,
  lines: number,
  half: boolean | undefined,
): GpuBuffer {
  const padded = rows * columns === 1 ? Math.ceil(c / lines) * lines : c
  return device.derive(weight, `conv2d_pack ${transpose} ${stride} ${o} ${padded} ${kh} ${kw} ${width}`, () => {
    const count = Math.ceil(o / width) * padded * rows * columns
    const packed = device.alloc(count * width * bytesEach(half))
    const params = { count, outputs: o, inputs: c, padded, kh, kw, rows, columns, stride }
    const work = { flops: 0, bytes: 2 * bytesEach(half) * count * width }
    const variant = packKernel.variant({ TRANSPOSE: transpose, COLUMNS: width, ...halved({ Weight: half && 'f32' }) })
    device.dispatch(variant, [weight, packed], params, loopGrid(device, count, 64), work)
    return packed
  })
}

/** The convolution that the kernel computes, with weights that lie as `packing` says. */
function tiled(
  device: Device,
  x: GpuBuffer,
  weight: GpuBuffer,
  packing: Packing,
  sizes: Conv2dSizes,
  epilogue: GemmEpilogue,
  halves: Halves,
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const segments = Math.ceil(wo / 4)
  const units = n * ho * segments
  const tile = tileFor(device, o, kh * kw === 1 ? 16 : 3 * stride + kw)
  const lines = linesOf(device, sizes, tile)
  const packed = pack(device, weight, packing, sizes, tile, lines, halves.right)
  const count = n * o * ho * wo
  const groups = Math.ceil(units / tile.units / tile.size)
  const blocks = Math.ceil(o / tile.columns)
  // A part holds whole channels, and whole steps.
  const whole = Math.max(kh, lines)
  const wanted = splitsFor(device, groups * blocks, c * kh, 16 * whole, 4 * count)
  const linesEach = Math.ceil(Math.ceil((c * kh) / wanted) / whole) * whole
  const splits = Math.ceil((c * kh) / linesEach)
  const out = device.alloc(Math.max(4, splits * count * 4))
  const { bias, residual } = splits === 1 ? epilogue : {}
  const constants = tileConstants(tile)
  const { Chunk, Values } = constants
  const variant = tiledKernel.variant({
    ...constants,
    Loaded: Values,
    ...halved({ Element: halves.left && 'f32', Chunk: halves.right && Chunk, Loaded: halves.right && Values }),
    ...epilogueConstants(splits === 1 ? epilogue : {}),
    ...{ KH: kh, KW: kw, POINTWISE: kh * kw === 1, STRIDE: stride, SPAN: 3 * stride + kw },
    ...{ LINES: lines, STEPS: lines * kw, FOUR: wo % 4 === 0 },
  })
  const params = { units, c, h, w, o, ho, wo, segments, top, left, lines: linesEach, partial: count }
  const buffers = [x, packed, bias ?? packed, residual ?? packed, out]
  device.dispatch(variant, buffers, params, [groups, blocks, splits], workOf(sizes, halves))
  return splits === 1 ? out : join(device, out, { splits, count, inner: ho * wo, biases: o }, epilogue)
}

/** out [n, o, ho, wo] = activation(x ⋆ weight + bias [o] + residual). `halves` tells of x and weight. */
export function conv2d(
  device: Device,
  x: GpuBuffer,
  weight: GpuBuffer,
  sizes: Conv2dSizes,
  epilogue: GemmEpilogue = {},
  halves: Halves = {},
): GpuBuffer {
  const { kh, kw } = sizes
  return tiled(device, x, weight, { transpose: false, kh, kw, stride: 1 }, sizes, epilogue, halves)
}

/**
 * The gradient of conv2d with respect to x: out [n, c, h, w] of grad [n, o, ho, wo] and weight. A convolution of the
 * gradient by the turned weights; with a stride, of one phase of the input's pixels each, put together afterwards.
 */
export function conv2dInputGrad(
  device: Device,
  grad: GpuBuffer,
  weight: GpuBuffer,
  sizes: Conv2dSizes,
  halves: Halves = {},
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const [rows, columns] = [Math.ceil(kh / stride), Math.ceil(kw / stride)]
  const packing = { transpose: true, kh, kw, stride }
  const turned = { n, c: o, h: ho, w: wo, kh: rows, kw: columns, stride: 1 }
  if (stride === 1) {
    const own = { ...turned, o: c, ho: h, wo: w, top: kh - 1 - top, left: kw - 1 - left }
    return tiled(device, grad, weight, packing, own, {}, halves)
  }
  const [high, wide] = [Math.ceil((h + top) / stride), Math.ceil((w + left) / stride)]
  const own = { ...turned, o: stride * stride * c, ho: high, wo: wide, top: rows - 1, left: columns - 1 }
  const phases = tiled(device, grad, weight, packing, own, {}, halves)
  const count = n * c * h * w
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, c, h, w, rows: high, columns: wide, stride, top, left }
  const work = { flops: 0, bytes: 8 * count }
  device.dispatch(interleaveKernel.variant(), [phases, out], params, loopGrid(device, count, 64), work)
  device.release(phases)
  return out
}

/**
 * What an invocation of conv2d_weight_grad owns. All taps of a channel, up to 3×3, need the fewest loads; a row of taps
 * fills more lanes where there are few channels, and needs a third of the registers.
 */
function weightTile(
  device: Device,
  { c, kh, kw, stride }: Conv2dSizes,
): { CHANNELS: number; TALL: number; WIDE: number } {
  if (kh === 1 && kw === 1) return { CHANNELS: c >= 32 ? 4 : 1, TALL: 1, WIDE: 1 }
  const fits = kh <= 3 && kw <= 3 && kh * (3 * stride + kw) <= mostLoads(device)
  const whole = device.info.software && c >= 8 && fits
  return { CHANNELS: 1, TALL: whole ? kh : 1, WIDE: kw <= 7 ? kw : 1 }
}

/** The gradient of conv2d with respect to the weight: out [o, c, kh, kw] of x and grad [n, o, ho, wo]. */
export function conv2dWeightGrad(
  device: Device,
  x: GpuBuffer,
  grad: GpuBuffer,
  sizes: Conv2dSizes,
  halves: Pick<Halves, 'left'> = {},
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const { lanes } = tileFor(device, 16)
  const tile = weightTile(device, sizes)
  // On software adapters a workgroup is one subgroup, so that few lanes idle.
  const size = device.info.software ? lanes || 8 : 64
  const units = Math.ceil(c / tile.CHANNELS) * (kh / tile.TALL) * (kw / tile.WIDE)
  const groups = Math.ceil(units / size)
  const blocks = Math.ceil(o / 16)
  const rows = n * ho
  const inner = c * kh * kw
  const width = blocks * 16
  const rowsEach = Math.ceil(rows / splitsFor(device, groups * blocks, rows, 1, 4 * inner * width))
  const splits = Math.ceil(rows / rowsEach)
  const partial = device.alloc(splits * inner * width * 4)
  const variant = weightGradKernel.variant({
    ...tile,
    ...sharing({ columns: 16, lanes }),
    ...{ STRIDE: stride, SPAN: 3 * stride + tile.WIDE, BROADCAST: lanes > 0, SIZE: size, FOUR: wo % 4 === 0 },
    ...halved({ Element: halves.left && 'f32' }),
  })
  const params = { units, rows, rowsEach, c, h, w, o, ho, wo, kh, kw, top, left }
  device.dispatch(variant, [x, grad, partial], params, [groups, blocks, splits], workOf(sizes, halves))
  return join(device, partial, { splits, count: o * inner, inner, width })
}
