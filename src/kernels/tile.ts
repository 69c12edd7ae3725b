import { type Device, MOST_GROUPS } from '../gpu/index.ts'

/** How the invocations of a tiled product share the work. All tiles add in the same order, so they give the same bits. */
export interface Tile {
  /** Units of four rows that an invocation owns, times … */
  readonly units: 1 | 2 | 4
  /** … columns. */
  readonly columns: 16 | 8 | 4
  /** Invocations of a workgroup. */
  readonly size: number
  /** Lanes of a subgroup that hand round what all of them need; 0 where each loads it for itself. */
  readonly lanes: 0 | 4 | 8
  /**
   * Invocations of a workgroup that lie along the columns. If they are several, the workgroup stages its operands in
   * workgroup memory (wgsl/include/gemm_tiles.wgsl).
   */
  readonly across: 1 | 4 | 8 | 16
}

/** Sizes of a product in the core's terms. */
export interface Extent {
  readonly batches: number
  readonly rows: number
  readonly columns: number
  /** Elements of the inner dimension. */
  readonly inner: number
}

/** Invocations, of up to 64 sums each, that fill a GPU: a warp or two for each of the schedulers of a large one. */
const FILL = 32_768
/** Workgroups that fill a GPU of a hundred processors evenly. */
const EVEN = 256

/** Lanes that can hand values round; 0 where there are no subgroups. */
export function lanesOf(device: Device): 0 | 4 | 8 {
  const { subgroupSize } = device.info
  return subgroupSize >= 8 ? 8 : subgroupSize >= 4 ? 4 : 0
}

/**
 * Lanes that share by default. A software adapter loads a value that all lanes share as slowly as eight different ones.
 * A GPU loads it once, and hands it round more slowly than it multiplies.
 */
export const sharedLanes = (device: Device): 0 | 4 | 8 => (device.info.software ? lanesOf(device) : 0)

/** The tile for a product by default. */
export const tileFor = (device: Device, extent: Extent): Tile =>
  stagedTile(device, extent) ?? directTile(device, extent)

/**
 * The tile in workgroup memory for a product, if one is right: on a GPU, the largest whose workgroups fill it, else the
 * smallest. On software adapters, whose barriers cost more than caches do, none.
 */
export function stagedTile(device: Device, extent: Extent): Tile | undefined {
  if (device.info.software || extent.inner < LEAST_INNER) return undefined
  const tiles = stagedTiles(extent)
  return tiles.find((tile) => workgroupsOf(tile, extent) >= EVEN) ?? tiles.at(-1)
}

/**
 * The tile for a product whose invocations read their operands for themselves. On software adapters narrow products get
 * more rows an invocation, except on SwiftShader, whose compiler does not end with several units, and a workgroup is one
 * subgroup, where larger ones would leave lanes idle. On a GPU there are many invocations before each has many sums.
 */
export function directTile(device: Device, { batches, rows, columns }: Extent): Tile {
  const narrow = columns > 8 ? 16 : columns > 4 ? 8 : 4
  const lanes = sharedLanes(device)
  if (!device.info.software) {
    const units = batches * Math.ceil(rows / 4)
    const wide = ([16, 8] as const).find((wide) => wide <= narrow && units * Math.ceil(columns / wide) >= FILL) ?? 4
    return { units: 1, columns: wide, lanes, across: 1, size: rows > 128 ? 64 : 32 }
  }
  const wide = (unrolls(device) ? 16 : narrow) as Tile['columns']
  const units = (16 / wide) as Tile['units']
  return { units, columns: wide, lanes, across: 1, size: lanes || 8 }
}

/** Lanes along rows and columns of staged tiles, from 128×128 sums to 64×64; the last one is for narrow products. */
const GRIDS = [
  [16, 16],
  [16, 8],
  [8, 8],
  [16, 4],
] as const

/** The tiles in workgroup memory that a product fills to more than half. An invocation has 8×8 sums, and loads 16 values. */
export const stagedTiles = ({ rows, columns }: Extent): readonly Tile[] =>
  GRIDS.filter(
    ([down, across]) =>
      rows > 4 * down && rows <= MOST_GROUPS * 8 * down && columns > 4 * across && (across > 4 || columns <= 32),
  ).map(([down, across]) => ({ units: 2, columns: 8, lanes: 0, across, size: down * across }))

/** Workgroups for `units` of rows, and blocks of columns. */
export const groupsOf = (tile: Tile, units: number, columns: number): [groups: number, blocks: number] => [
  Math.ceil((units / tile.units / tile.size) * tile.across),
  Math.ceil(columns / tile.columns / tile.across),
]

/** Workgroups of a tile for all of a product. */
export function workgroupsOf(tile: Tile, { batches, rows, columns }: Extent): number {
  const [groups, blocks] = groupsOf(tile, rows / 4, columns)
  return batches * groups * blocks
}

/** How many lanes share the columns of a tile, and how many each loads. */
export function sharing({ columns, lanes }: Pick<Tile, 'columns' | 'lanes'>): { SHARES: number; EACH: number } {
  if (lanes === 0) return { SHARES: 1, EACH: columns }
  const SHARES = Math.min(lanes, columns)
  return { SHARES, EACH: columns / SHARES }
}

/** A number for each tile: sizes are at most 1,024, the rest below 32. */
export const tileKey = ({ units, columns, size, lanes, across }: Tile): number =>
  (((units * 32 + columns) * 32 + lanes) * 32 + across) * 2048 + size

/** A tile as the constants of the kernels that include gemm_step. */
export function tileConstants(tile: Tile) {
  const { SHARES, EACH } = sharing(tile)
  const [Chunk, Values] = EACH === 1 ? ['f32', 'vec2f'] : EACH === 2 ? ['vec2f', 'vec2f'] : ['vec4f', 'vec4f']
  return {
    ...{ UNITS: tile.units, COLUMNS: tile.columns, QUADS: tile.columns / 4, SIZE: tile.size },
    ...{ BROADCAST: tile.lanes > 0, SHARES, EACH, Chunk, Values },
    ...(tile.across > 1 ? stagedConstants(tile) : {}),
  }
}

/** How the lanes of a staged tile lie, and in how many rounds they stage a slab. */
export function stagedConstants({ units, columns, size, across }: Tile) {
  const down = size / across
  const blocks = (SLAB / 4) * (down * units + (across * columns) / 4)
  return { STAGED: true, DOWN: down, ACROSS: across, BLOCKS: Math.ceil(blocks / size) }
}

/** Elements of the inner dimension that a workgroup stages at a time. */
const SLAB = 16
/** Elements of the inner dimension that are worth staging. */
const LEAST_INNER = SLAB

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

/** How many workgroups of which size there are. */
export interface Groups {
  readonly count: number
  readonly size: number
}

/** Those of a product by default. */
export function usualGroups(device: Device, extent: Extent): Groups {
  const tile = tileFor(device, extent)
  return { count: workgroupsOf(tile, extent), size: tile.size }
}

/**
 * Parts into which the inner dimension of a product is split, so that its invocations fill the adapter. They decide in
 * which order is added, and so must follow from the sizes alone.
 * @param groups workgroups by default, without splitting
 * @param inner steps of the inner dimension, at least `least` of which make a part
 * @param bytes of the product, each part of which is stored
 */
export function splitsFor(device: Device, groups: Groups, inner: number, least: number, bytes: number): number {
  const wanted = Math.ceil((device.info.software ? 16 : FILL / groups.size) / groups.count)
  const affordable = Math.floor(MAX_PARTIAL_BYTES / bytes)
  return Math.max(1, Math.min(wanted, affordable, Math.floor(inner / least)))
}

/** Bytes of partial sums that a product may use, well below what every adapter binds (128 MiB). */
const MAX_PARTIAL_BYTES = 32 << 20
