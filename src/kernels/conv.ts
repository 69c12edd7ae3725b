import interleaveSource from '../../wgsl/conv2d_interleave.wgsl'
import packSource from '../../wgsl/conv2d_pack.wgsl'
import tiledSource from '../../wgsl/conv2d_tiled.wgsl'
import weightGradSource from '../../wgsl/conv2d_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { epilogueConstants, type GemmEpilogue, join } from './gemm.ts'
import { bytesEach, dtypesOf, type Halves, halved } from './half.ts'
import { groupsOf, mostLoads, sharing, splitsFor, type Tile, tileConstants, tileFor, unrolls } from './tile.ts'
import { classOf, groupingName, groupings, type Named, partsToTime, tileCandidates } from './tuned.ts'

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
  if (kh === 1 && kw === 1) return unrolls(device) ? 1 : 4
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

/** `sizes` with as many images as the tuner times, and the name of their class. */
function timed(device: Device, sizes: Conv2dSizes, halves: Halves): { sizes: Conv2dSizes; shape: string } {
  const { n, c, o, ho, wo, kh, kw, stride } = sizes
  const own = { ...sizes, n: partsToTime(device, n, workOf({ ...sizes, n: 1 })) }
  return { sizes: own, shape: `${dtypesOf(halves)} ${kh}×${kw}/${stride} ${classOf(own.n * ho, wo, c, o)}` }
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
  const { o } = sizes
  const base = tileFor(device, o)
  if (device.tuner.idle) return tiledBy(device, base, x, weight, packing, sizes, epilogue, halves)
  const { sizes: own, shape } = timed(device, sizes, halves)
  const tile = device.tuner.choose(tiledKernel, shape, base, workOf(sizes).flops, () => {
    const weights = (bytesEach(halves.right) * own.c * o * packing.kh * packing.kw) / packing.stride ** 2
    return {
      candidates: tileCandidates(device, base, o),
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
  const units = n * ho * segments
  const lines = linesOf(device, sizes, tile)
  const packed = pack(device, weight, packing, sizes, tile, lines, halves.right)
  const count = n * o * ho * wo
  const [groups, blocks] = groupsOf(tile, units, o)
  // A part holds whole channels, and whole steps.
  const whole = Math.max(kh, lines)
  // The parts decide in which order is added, and so follow from the sizes alone.
  const [usual, usualBlocks] = groupsOf(tileFor(device, o), units, o)
  const wanted = splitsFor(device, usual * usualBlocks, c * kh, 16 * whole, 4 * count)
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

/** What an invocation of conv2d_weight_grad owns, and how invocations are grouped. */
interface WeightTile extends Pick<Tile, 'size' | 'lanes'> {
  readonly CHANNELS: number
  readonly TALL: number
  readonly WIDE: number
}

/** A row of taps of a channel, as far as it fits; without taps, four channels. */
const tapsByRow = ({ c, kh, kw }: Conv2dSizes) =>
  kh === 1 && kw === 1
    ? { CHANNELS: c >= 32 ? 4 : 1, TALL: 1, WIDE: 1 }
    : { CHANNELS: 1, TALL: 1, WIDE: kw <= 7 ? kw : 1 }

/** All taps of a channel, if they are more than a row and fit. */
function allTaps(device: Device, { kh, kw, stride }: Conv2dSizes) {
  const fits = kh > 1 && kh <= 3 && kw <= 3 && kh * (3 * stride + kw) <= mostLoads(device)
  return fits ? { CHANNELS: 1, TALL: kh, WIDE: kw } : undefined
}

/**
 * The default. All taps of a channel, up to 3×3, need the fewest loads; a row of taps fills more lanes where there are
 * few channels, and needs a third of the registers.
 */
function weightTile(device: Device, sizes: Conv2dSizes): WeightTile {
  const { lanes } = tileFor(device, 16)
  // On software adapters a workgroup is one subgroup, so that few lanes idle.
  const size = device.info.software ? lanes || 8 : 64
  const all = device.info.software && sizes.c >= 8 ? allTaps(device, sizes) : undefined
  return { ...(all ?? tapsByRow(sizes)), lanes, size }
}

/** The default, and what differs from it in one respect. */
function weightCandidates(device: Device, base: WeightTile, sizes: Conv2dSizes): readonly Named<WeightTile>[] {
  const taps = [tapsByRow(sizes), ...(sizes.kh * sizes.kw === 1 ? [{ CHANNELS: 1, TALL: 1, WIDE: 1 }] : [])]
  const others = [...taps, allTaps(device, sizes)].flatMap((own) =>
    own && (own.TALL !== base.TALL || own.CHANNELS !== base.CHANNELS) ? [{ ...base, ...own }] : [],
  )
  return [base, ...others, ...groupings(device, base)].map((tile) => [
    `${tile.CHANNELS} of ${tile.TALL}×${tile.WIDE} taps, ${groupingName(tile)}`,
    tile,
  ])
}

/** Units of a weight gradient, of which an invocation owns one, and workgroups in x and y. */
function weightGroups({ CHANNELS, TALL, WIDE, size }: WeightTile, { c, o, kh, kw }: Conv2dSizes) {
  const units = Math.ceil(c / CHANNELS) * (kh / TALL) * (kw / WIDE)
  return { units, groups: Math.ceil(units / size), blocks: Math.ceil(o / 16) }
}

/** The gradient of conv2d with respect to the weight: out [o, c, kh, kw] of x and grad [n, o, ho, wo]. */
export function conv2dWeightGrad(
  device: Device,
  x: GpuBuffer,
  grad: GpuBuffer,
  sizes: Conv2dSizes,
  halves: Pick<Halves, 'left'> = {},
): GpuBuffer {
  const base = weightTile(device, sizes)
  if (device.tuner.idle) return weightGradBy(device, base, x, grad, sizes, halves)
  const { sizes: own, shape } = timed(device, sizes, halves)
  const tile = device.tuner.choose(weightGradKernel, shape, base, workOf(sizes).flops, () => ({
    candidates: weightCandidates(device, base, sizes),
    inputs: [bytesEach(halves.left) * own.n * own.c * own.h * own.w, 4 * own.n * own.o * own.ho * own.wo],
    launch: ([x, grad], tile) => weightGradBy(device, tile, x as GpuBuffer, grad as GpuBuffer, own, halves),
  }))
  return weightGradBy(device, tile, x, grad, sizes, halves)
}

/** The same by a given tile; the result has the same bits for each. */
function weightGradBy(
  device: Device,
  tile: WeightTile,
  x: GpuBuffer,
  grad: GpuBuffer,
  sizes: Conv2dSizes,
  halves: Pick<Halves, 'left'>,
): GpuBuffer {
  const { n, c, h, w, o, ho, wo, kh, kw, stride, top, left } = sizes
  const { lanes, size, ...taps } = tile
  const { units, groups, blocks } = weightGroups(tile, sizes)
  const rows = n * ho
  const inner = c * kh * kw
  const width = blocks * 16
  // The parts decide in which order is added, and so follow from the sizes alone.
  const usual = weightGroups(weightTile(device, sizes), sizes).groups * blocks
  const rowsEach = Math.ceil(rows / splitsFor(device, usual, rows, 1, 4 * inner * width))
  const splits = Math.ceil(rows / rowsEach)
  const partial = device.alloc(splits * inner * width * 4)
  const variant = weightGradKernel.variant({
    ...taps,
    ...sharing({ columns: 16, lanes }),
    ...{ STRIDE: stride, SPAN: 3 * stride + taps.WIDE, BROADCAST: lanes > 0, SIZE: size, FOUR: wo % 4 === 0 },
    ...halved({ Element: halves.left && 'f32' }),
  })
  const params = { units, rows, rowsEach, c, h, w, o, ho, wo, kh, kw, top, left }
  device.dispatch(variant, [x, grad, partial], params, [groups, blocks, splits], workOf(sizes, halves))
  return join(device, partial, { splits, count: o * inner, inner, width })
}
