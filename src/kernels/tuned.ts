import type { Device } from '../gpu/index.ts'
import { type Tile, unrolls } from './tile.ts'

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

/**
 * Groupings worth trying beside `base`. Sharing and not sharing are both tried, except on SwiftShader, whose compiler
 * cannot cope with what each lane then loads.
 */
export function groupings<T extends Sharing>(device: Device, base: T): T[] {
  const sizes = sizesFor(device, base.lanes).filter((size) => size !== base.size)
  const grouped = sizes.map((size) => ({ ...base, size }))
  return base.lanes > 0 && !unrolls(device) ? [...grouped, { ...base, lanes: 0 }] : grouped
}

export const groupingName = ({ size, lanes }: Sharing): string =>
  `${size} a workgroup, ${lanes > 0 ? `${lanes} lanes share` : 'unshared'}`

/**
 * Tiles for what `base` is the default of, which comes first: they differ from it in one respect each. Tiles wider than
 * the product are left out, and those whose units of four rows, which need `loads` a step, need more than a step may have.
 */
export function tileCandidates(device: Device, base: Tile, columns: number): readonly Named<Tile>[] {
  const shapes = ([16, 8, 4] as const)
    .map((wide) => ({ ...base, columns: wide, units: (16 / wide) as Tile['units'] }))
    .filter((tile) => tile.columns !== base.columns && (tile.columns === 4 || 2 * columns > tile.columns))
    // SwiftShader's compiler does not end with several units.
    .filter((tile) => tile.units === 1 || !unrolls(device))
  return [base, ...shapes, ...groupings(device, base)].map((tile) => [
    `${tile.units}×${tile.columns}, ${groupingName(tile)}`,
    tile,
  ])
}
