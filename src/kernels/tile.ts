import type { Device } from '../gpu/index.ts'

/** How the invocations of a tiled product share the work. All tiles add in the same order, so they give the same bits. */
export interface Tile {
  /** Units of four rows that an invocation owns, times … */
  readonly units: 1 | 2 | 4
  /** … columns: 16 in all. */
  readonly columns: 16 | 8 | 4
  /** Invocations of a workgroup. */
  readonly size: number
  /** Lanes of a subgroup that hand round what all of them need; 0 where each loads it for itself. */
  readonly lanes: 0 | 4 | 8
}

/** Lanes that can hand values round; 0 where there are no subgroups. */
function lanesOf(device: Device): 0 | 4 | 8 {
  const { subgroupSize } = device.info
  return subgroupSize >= 8 ? 8 : subgroupSize >= 4 ? 4 : 0
}

/**
 * The tile for a product with `columns`. Narrow products get more rows an invocation, except on SwiftShader, whose compiler
 * does not end with several units. On software adapters a workgroup is one subgroup, where larger ones would leave
 * lanes idle.
 */
export function tileFor(device: Device, columns: number): Tile {
  const narrow = columns > 8 ? 16 : columns > 4 ? 8 : 4
  const wide = (unrolls(device) ? 16 : narrow) as Tile['columns']
  const units = (16 / wide) as Tile['units']
  const lanes = lanesOf(device)
  return { units, columns: wide, lanes, size: device.info.software ? lanes || 8 : 64 }
}

/** Workgroups for `units` of rows, and blocks of columns. */
export const groupsOf = (tile: Tile, units: number, columns: number): [groups: number, blocks: number] => [
  Math.ceil(units / tile.units / tile.size),
  Math.ceil(columns / tile.columns),
]

/** How many lanes share the columns of a tile, and how many each loads. */
export function sharing({ columns, lanes }: Pick<Tile, 'columns' | 'lanes'>): { SHARES: number; EACH: number } {
  if (lanes === 0) return { SHARES: 1, EACH: columns }
  const SHARES = Math.min(lanes, columns)
  return { SHARES, EACH: columns / SHARES }
}

/** A tile as the constants of the kernels that include gemm_step. */
export function tileConstants(tile: Tile) {
  const { SHARES, EACH } = sharing(tile)
  const [Chunk, Values] = EACH === 1 ? ['f32', 'vec2f'] : EACH === 2 ? ['vec2f', 'vec2f'] : ['vec4f', 'vec4f']
  return {
    ...{ UNITS: tile.units, COLUMNS: tile.columns, QUADS: tile.columns / 4, SIZE: tile.size },
    ...{ BROADCAST: tile.lanes > 0, SHARES, EACH, Chunk, Values },
  }
}

/**
 * SwiftShader, the software adapter with subgroups of four. It keeps whatever a loop changes in memory, so that a
 * convolution with all nine taps in one step takes a third of the time; other drivers keep registers, and compile longer
 * for nothing.
 */
export const unrolls = (device: Device): boolean => device.info.software && device.info.subgroupSize === 4

/**
 * Loads that a step of a kernel may have. SwiftShader's compiler takes 0.5 s for 18, 10 s for 24 and 88 s for 27.
 */
export const mostLoads = (device: Device): number => (unrolls(device) ? 18 : Number.POSITIVE_INFINITY)

/**
 * Parts into which the inner dimension of a product is split, so that its invocations fill the adapter.
 * @param groups workgroups without splitting
 * @param inner steps of the inner dimension, at least `least` of which make a part
 * @param bytes of the product, each part of which is stored
 */
export function splitsFor(device: Device, groups: number, inner: number, least: number, bytes: number): number {
  const wanted = Math.ceil((device.info.software ? 16 : 512) / groups)
  const affordable = Math.floor(MAX_PARTIAL_BYTES / bytes)
  return Math.max(1, Math.min(wanted, affordable, Math.floor(inner / least)))
}

/** Bytes of partial sums that a product may use, well below what every adapter binds (128 MiB). */
const MAX_PARTIAL_BYTES = 32 << 20
