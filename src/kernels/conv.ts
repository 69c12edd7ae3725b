import interleaveSource from '../../wgsl/conv2d_interleave.wgsl'
import packSource from '../../wgsl/conv2d_pack.wgsl'
import tiledSource from '../../wgsl/conv2d_tiled.wgsl'
import { type Device, defineKernel, foldedGrid, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { type Conv2dSizes, timed, unitsOf, workOf } from './conv-sizes.ts'
import { epilogueBits, epilogueConstants, type GemmEpilogue, join, NO_EPILOGUE } from './gemm.ts'
import { bytesEach, type Halves, halved } from './half.ts'
import { bits, bytes, NumberedVariants } from './numbered.ts'
import {
  type Extent,
  groupsOf,
  mostLoads,
  splitsFor,
  type Tile,
  tileConstants,
  tileFor,
  tileKey,
  unrolls,
  usualGroups,
} from './tile.ts'
import { tileCandidates } from './tuned.ts'

const tiledKernel = defineKernel('conv2d_tiled', tiledSource)
const tiledVariants = new NumberedVariants(tiledKernel)
const packKernel = defineKernel('conv2d_pack', packSource)
const interleaveKernel = defineKernel('conv2d_interleave', interleaveSource)

/** Lines (a row of taps of one channel) in a step of the kernel. */
function linesOf(device: Device, { kh, kw, stride }: Conv2dSizes, { units }: Tile): number {
  if (kh === 1 && kw === 1) return unrolls(device) ? 1 : 4
  return unrolls(device) && kh * (3 * stride + kw) * units <= mostLoads(device) ? kh : 1
}

/** The convolution as a product. */
const extentOf = (sizes: Conv2dSizes): Extent => {
  const { c, o, kh, kw } = sizes
  return { batches: 1, rows: 4 * unitsOf(sizes), columns: o, inner: c * kh * kw }
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
  tile: Tile,
  lines: number,
  half: boolean | undefined,
): GpuBuffer {
  const width = tile.columns * tile.across
  const padded = rows * columns === 1 ? Math.ceil(c / lines) * lines : c
  return device.derive(weight, `conv2d_pack ${transpose} ${stride} ${o} ${padded} ${kh} ${kw} ${width}`, () => {
    const count = Math.ceil(o / width) * padded * rows * columns
    const packed = device.alloc(count * width * bytesEach(half))
    const params = { count, outputs: o, inputs: c, padded, kh, kw, rows, columns }
    // Lanes of a software adapter's workgroup run one after the other, eight at a time: more would sweep all weights again.
    const size = device.info.software ? 8 : 64
    const work = { flops: 0, bytes: 2 * bytesEach(half) * count * width }
    const variant = packKernel.variant({
      ...{ TRANSPOSE: transpose, STRIDE: stride, COLUMNS: width, SIZE: size },
      ...halved({ Weight: half && 'f32' }),
    })
    device.dispatch(variant, [weight, packed], params, loopGrid(device, count, size), work)
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
  const extent = extentOf(sizes)
  const base = tileFor(device, extent)
  if (device.tuner.idle) return tiledBy(device, base, x, weight, packing, sizes, epilogue, halves)
  const { sizes: own, shape } = timed(device, sizes, halves)
  const tile = device.tuner.choose(tiledKernel, shape, base, workOf(sizes).flops, () => {
    const weights = (bytesEach(halves.right) * own.c * own.o * packing.kh * packing.kw) / packing.stride ** 2
    return {
      candidates: tileCandidates(device, base, extent),
      inputs: [bytesEach(halves.left) * own.n * own.c * own.h * own.w, weights],
      launch: ([x, weight], tile) =>
        tiledBy(device, tile, x as GpuBuffer, weight as GpuBuffer, packing, own, {}, halves),
    }
  })
  return tiledBy(device, tile, x, weight, packing, sizes, epilogue, halves)
}

/** The same by a given tile; the result has the same bits for each. */
function tiledBy(
  device: Device,
  tile: Tile,
  x: GpuBuffer,
  weight: GpuBuffer,
  packing: Packing,
  sizes: Conv2dSizes,
  epilogue: GemmEpilogue,
  halves: Halves,
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const segments = Math.ceil(wo / 4)
  const units = unitsOf(sizes)
  const staged = tile.across > 1
  const lines = linesOf(device, sizes, tile)
  const packed = pack(device, weight, packing, sizes, tile, staged ? 1 : lines, halves.right)
  const count = n * o * ho * wo
  const [groups, blocks] = groupsOf(tile, units, o)
  // A part holds whole channels, and whole steps.
  const whole = Math.max(kh, lines)
  const wanted = splitsFor(device, usualGroups(device, extentOf(sizes)), c * kh, 16 * whole, 4 * count)
  const linesEach = Math.ceil(Math.ceil((c * kh) / wanted) / whole) * whole
  const splits = Math.ceil((c * kh) / linesEach)
  const out = device.alloc(Math.max(4, splits * count * 4))
  const ownEpilogue = splits === 1 ? epilogue : NO_EPILOGUE
  const { bias, residual } = ownEpilogue
  const four = wo % 4 === 0
  const { grid, folded } = foldedGrid(groups, blocks)
  const flags = 8 * bits(halves.left, halves.right, four, folded) + epilogueBits(ownEpilogue)
  const variant = tiledVariants.get(tileKey(tile), bytes(kh, kw, stride, lines, flags), () => {
    const constants = tileConstants(tile)
    const { Chunk, Values } = constants
    return {
      ...constants,
      Loaded: Values,
      ...halved({ Element: halves.left && 'f32', Chunk: halves.right && Chunk, Loaded: halves.right && Values }),
      ...epilogueConstants(ownEpilogue),
      ...{ KH: kh, KW: kw, POINTWISE: kh * kw === 1, STRIDE: stride, SPAN: 3 * stride + kw },
      ...{ LINES: lines, STEPS: staged ? 4 : lines * kw, FOUR: four, FOLDED: folded },
    }
  })
  const params = { units, c, h, w, o, ho, wo, segments, top, left, lines: linesEach, partial: count, groups }
  const buffers = [x, packed, bias ?? packed, residual ?? packed, out]
  device.dispatch(variant, buffers, params, [...grid, splits], workOf(sizes, halves))
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
  residual?: GpuBuffer,
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  if (residual && stride > 1) throw new Error('conv2dInputGrad: only that of stride 1 adds a residual')
  const [rows, columns] = [Math.ceil(kh / stride), Math.ceil(kw / stride)]
  const packing = { transpose: true, kh, kw, stride }
  const turned = { n, c: o, h: ho, w: wo, kh: rows, kw: columns, stride: 1 }
  if (stride === 1) {
    const own = { ...turned, o: c, ho: h, wo: w, top: kh - 1 - top, left: kw - 1 - left }
    return tiled(device, grad, weight, packing, own, { residual }, halves)
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
