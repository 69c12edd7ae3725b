import type { Constants, Kernel, Variant } from '../gpu/index.ts'

/**
 * Variants of a kernel by numbers that say the same as their constants. To make the two dozen constants of a product takes
 * longer than the rest of its launch.
 */
export class NumberedVariants {
  readonly #byTile = new Map<number, Map<number, Variant>>()

  constructor(readonly kernel: Kernel) {}

  /**
   * @param tile a number for the tile
   * @param rest a number for everything else that the constants depend on; NaN where there is none
   */
  get(tile: number, rest: number, constants: () => Constants): Variant {
    if (Number.isNaN(rest)) return this.kernel.variant(constants())
    let byRest = this.#byTile.get(tile)
    if (!byRest) this.#byTile.set(tile, (byRest = new Map()))
    let variant = byRest.get(rest)
    if (!variant) byRest.set(rest, (variant = this.kernel.variant(constants())))
    return variant
  }
}

/** One number for up to six, each from 0 to 255; NaN if one is larger. */
export function bytes(...values: readonly number[]): number {
  let number = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number
    if (value > 255) return Number.NaN
    number = 256 * number + value
  }
  return number
}

/** One number for flags, up to eight of which make a byte. */
export function bits(...flags: readonly (boolean | undefined)[]): number {
  let number = 0
  for (let i = 0; i < flags.length; i++) number = 2 * number + (flags[i] ? 1 : 0)
  return number
}
