import source from '../../wgsl/conv2d_weight_grad.wgsl'
import { type Device, defineKernel, type GpuBuffer } from '../gpu/index.ts'
import { type Conv2dSizes, timed, unitsOf, workOf } from './conv-sizes.ts'
import { fill } from './elementwise.ts'
import { join } from './gemm.ts'
import { bytesEach, type Halves, halved } from './half.ts'
import {
  type Extent,
  groupsOf,
  mostLoads,
  sharedLanes,
  sharing,
  splitsFor,
  stagedConstants,
  stagedTile,
  type Tile,
} from './tile.ts'
import { candidatesOf, groupingName, groupings, type Named, stagedCandidates, tileName } from './tuned.ts'

const kernel = defineKernel('conv2d_weight_grad', source)

/** What an invocation owns that reads for itself, times 16 output channels, and how invocations are grouped. */
interface Taps extends Pick<Tile, 'size' | 'lanes'> {
  readonly CHANNELS: number
  readonly TALL: number
  readonly WIDE: number
}

/** How the invocations of a weight gradient share the work. */
type WeightTile = Taps | Tile

const isStaged = (tile: WeightTile): tile is Tile => 'across' in tile

/** The weight gradient as a product of output channels by taps; its inner dimension are pixels, in rows of whole fours. */
const extentOf = (sizes: Conv2dSizes): Extent => {
  const { c, o, kh, kw } = sizes
  return { batches: 1, rows: o, columns: c * kh * kw, inner: 4 * unitsOf(sizes) }
}

/** Pixels that make a part worth its partial sums, on a GPU; a software adapter is filled by few parts. */
const LEAST_PIXELS = 128

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
 * The default where invocations read for themselves. All taps of a channel, up to 3×3, need the fewest loads; a row of
 * taps fills more lanes where there are few channels, and needs a third of the registers.
 */
function tapsFor(device: Device, sizes: Conv2dSizes): Taps {
  const lanes = sharedLanes(device)
  // On software adapters a workgroup is one subgroup, so that few lanes idle.
  const size = device.info.software ? lanes || 8 : 64
  const all = device.info.software && sizes.c >= 8 ? allTaps(device, sizes) : undefined
  return { ...(all ?? tapsByRow(sizes)), lanes, size }
}

/** The default. */
const tileFor = (device: Device, sizes: Conv2dSizes): WeightTile =>
  stagedTile(device, extentOf(sizes)) ?? tapsFor(device, sizes)

/** The default, and what differs from it, or from the one where invocations read for themselves, in one respect. */
function candidatesFor(device: Device, base: WeightTile, sizes: Conv2dSizes): readonly Named<WeightTile>[] {
  const direct = tapsFor(device, sizes)
  const taps = [tapsByRow(sizes), ...(sizes.kh * sizes.kw === 1 ? [{ CHANNELS: 1, TALL: 1, WIDE: 1 }] : [])]
  const others = [...taps, allTaps(device, sizes)].flatMap((own) => (own ? [{ ...direct, ...own }] : []))
  const all = [...stagedCandidates(device, extentOf(sizes)), direct, ...others, ...groupings(device, direct)]
  return candidatesOf<WeightTile>(base, all, (tile) =>
    isStaged(tile) ? tileName(tile) : `${tile.CHANNELS} of ${tile.TALL}×${tile.WIDE} taps, ${groupingName(tile)}`,
  )
}

/** Units of a weight gradient, of which an invocation owns one, and workgroups in x and y. */
function gridOf(tile: WeightTile, sizes: Conv2dSizes): { units: number; groups: number; blocks: number } {
  const { c, o, kh, kw } = sizes
  if (isStaged(tile)) {
    const { rows, columns } = extentOf(sizes)
    const [groups, blocks] = groupsOf(tile, rows / 4, columns)
    return { units: 0, groups, blocks }
  }
  const units = Math.ceil(c / tile.CHANNELS) * (kh / tile.TALL) * (kw / tile.WIDE)
  return { units, groups: Math.ceil(units / tile.size), blocks: Math.ceil(o / 16) }
}

/** A tile as constants of the kernel. */
function constantsOf(tile: WeightTile, stride: number) {
  if (isStaged(tile)) return { ...stagedConstants(tile), BROADCAST: false }
  const { lanes, size, ...taps } = tile
  return { ...taps, ...sharing({ columns: 16, lanes }), SPAN: 3 * stride + taps.WIDE, BROADCAST: lanes > 0 }
}

/** The gradient of conv2d with respect to the weight: out [o, c, kh, kw] of x and grad [n, o, ho, wo]. */
export function conv2dWeightGrad(
  device: Device,
  x: GpuBuffer,
  grad: GpuBuffer,
  sizes: Conv2dSizes,
  halves: Pick<Halves, 'left'> = {},
): GpuBuffer {
  // A sum of nothing.
  if (sizes.n === 0) return fill(device, sizes.o * sizes.c * sizes.kh * sizes.kw, 0)
  const base = tileFor(device, sizes)
  if (device.tuner.idle) return weightGradBy(device, base, x, grad, sizes, halves)
  const { sizes: own, shape } = timed(device, sizes, halves)
  const tile = device.tuner.choose(kernel, shape, base, workOf(sizes).flops, () => ({
    candidates: candidatesFor(device, base, sizes),
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
  const { units, groups, blocks } = gridOf(tile, sizes)
  const rows = n * ho
  const inner = c * kh * kw
  // Whole vectors of channels.
  const width = Math.ceil(o / 16) * 16
  // The parts decide in which order is added, and so follow from the sizes alone.
  const base = tileFor(device, sizes)
  const usual = gridOf(base, sizes)
  const least = device.info.software ? 1 : Math.ceil(LEAST_PIXELS / wo)
  const usualGroups = { count: usual.groups * usual.blocks, size: base.size }
  const rowsEach = Math.ceil(rows / splitsFor(device, usualGroups, rows, least, 4 * inner * width))
  const splits = Math.ceil(rows / rowsEach)
  const partial = device.alloc(splits * inner * width * 4)
  const variant = kernel.variant({
    ...constantsOf(tile, stride),
    ...{ STRIDE: stride, SIZE: tile.size, FOUR: wo % 4 === 0 },
    ...halved({ Element: halves.left && 'f32' }),
  })
  const params = { units, rows, rowsEach, c, h, w, o, ho, wo, kh, kw, top, left }
  device.dispatch(variant, [x, grad, partial], params, [groups, blocks, splits], workOf(sizes, halves))
  return join(device, partial, { splits, count: o * inner, inner, width })
}
