import type { Device } from '../gpu/index.ts'
import { directTile, type Extent, lanesOf, stagedTiles, type Tile, unrolls } from './tile.ts'

/** What launches that the tuner times may do: enough to fill the adapter, little enough to end soon. */
const LIMITS = { hardware: { flops: 1e10, bytes: 64 << 20 }, software: { flops: 1e8, bytes: 16 << 20 } } as const

/** How many of `count` equal parts of a launch (images, batches) the tuner times. */
export function partsToTime(device: Device, count: number, part: { flops: number; bytes: number }): number {
  const { flops, bytes } = LIMITS[device.info.software ? 'software' : 'hardware']
  return Math.max(1, Math.min(count, Math.floor(flops / part.flops), Math.floor(bytes / part.bytes)))
}

/** Sizes up to the same power of two are one class. */
export const classOf = (...sizes: readonly number[]): string =>
  sizes.map((size) => 2 ** Math.ceil(Math.log2(Math.max(1, size)))).join('·')

/** A choice by its name. */
export type Named<T> = readonly [name: string, choice: T]

/** Sizes of a workgroup worth trying beside the default. */
function sizesFor(device: Device, lanes: number): readonly number[] {
  const { maxComputeInvocationsPerWorkgroup: most } = device.handle.limits
  return (device.info.software ? [lanes || 8, 64] : [64, 128, 256]).filter((size) => size <= most)
}

/** How invocations are grouped and share loads. */
type Sharing = Pick<Tile, 'size' | 'lanes'>

/** Groupings worth trying beside `base`. */
export const groupings = <T extends Sharing>(device: Device, base: T): T[] => [
  ...sizesFor(device, base.lanes).map((size) => ({ ...base, size })),
  ...sharings(device, base),
]

/**
 * Sharing, if `base` does not, or the reverse. SwiftShader's compiler cannot cope with what each lane loads that does not
 * share.
 */
export const sharings = <T extends Sharing>(device: Device, base: T): T[] =>
  unrolls(device) ? [] : [{ ...base, lanes: base.lanes > 0 ? 0 : lanesOf(device) }]

export const groupingName = ({ size, lanes }: Sharing): string =>
  `${size} a workgroup, ${lanes > 0 ? `${lanes} lanes share` : 'unshared'}`

/** The default, which comes first, and what may be better, by names; what has the same name is the same. */
export const candidatesOf = <T>(base: T, others: readonly T[], name: (choice: T) => string): readonly Named<T>[] => [
  ...new Map([base, ...others].map((choice) => [name(choice), choice])),
]

export const tileName = (tile: Tile): string =>
  tile.across > 1
    ? `staged ${(4 * tile.units * tile.size) / tile.across}×${tile.columns * tile.across}`
    : `${tile.units}×${tile.columns}, ${groupingName(tile)}`

/** Tiles for what `base` is the default of. */
export function tileCandidates(device: Device, base: Tile, extent: Extent): readonly Named<Tile>[] {
  const direct = directTile(device, extent)
  // Where a staged tile is the default, how the others differ among themselves matters less.
  const others = base.across > 1 ? sharings(device, direct) : directTiles(device, direct, extent)
  return candidatesOf(base, [...stagedCandidates(device, extent), direct, ...others], tileName)
}

/** Tiles in workgroup memory that are worth trying. */
export const stagedCandidates = (device: Device, extent: Extent): readonly Tile[] =>
  device.info.software ? [] : stagedTiles(extent)

/**
 * Tiles that differ from `base`, whose invocations read for themselves, in one respect each. Tiles wider than the product
 * are left out.
 */
function directTiles(device: Device, base: Tile, { columns }: Extent): Tile[] {
  const shapes = ([16, 8, 4] as const)
    .map((wide) => ({ ...base, columns: wide, units: (16 / wide) as Tile['units'] }))
    .filter((tile) => tile.columns !== base.columns && (tile.columns === 4 || 2 * columns > tile.columns))
    // SwiftShader's compiler does not end with several units.
    .filter((tile) => tile.units === 1 || !unrolls(device))
  return [...shapes, ...groupings(device, base)]
}
