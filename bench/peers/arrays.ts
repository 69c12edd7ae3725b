/** Arrays on the host: what every library is given and what it must give back. */

/** Row-major, in this library's layouts: images [N, C, H, W], convolution weights [O, C, kh, kw]. */
export interface HostArray {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

export type Arrays = Readonly<Record<string, HostArray>>

/** The array of that name; a work without it is a mistake of this bench. */
export function named(arrays: Arrays, name: string): HostArray {
  const array = arrays[name]
  if (!array) throw new Error(`There is no array '${name}' among ${Object.keys(arrays).join(', ')}.`)
  return array
}

/** Pseudo-random numbers between `low` and `high`, the same in every run for a given seed. */
export function uniform(shape: readonly number[], seed: number, low = -1, high = 1): HostArray {
  const count = shape.reduce((a, b) => a * b, 1)
  let state = Math.imul(seed + 1, 2654435761) >>> 0
  // A linear congruential generator: 0…1.
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  return { shape, data: Float32Array.from({ length: count }, () => low + (high - low) * next()) }
}

/** The largest difference relative to the largest magnitude, the worst of all arrays; infinite where one is missing. */
export function distance(a: Arrays, b: Arrays): number {
  let worst = 0
  for (const [name, { data }] of Object.entries(a)) {
    const other = b[name]?.data
    if (other?.length !== data.length) return Number.POSITIVE_INFINITY
    let difference = 0
    let magnitude = 0
    for (let i = 0; i < data.length; i++) {
      const [x, y] = [data[i] as number, other[i] as number]
      if (!Number.isFinite(x) || !Number.isFinite(y)) return Number.POSITIVE_INFINITY
      difference = Math.max(difference, Math.abs(x - y))
      magnitude = Math.max(magnitude, Math.abs(x), Math.abs(y))
    }
    if (magnitude > 0) worst = Math.max(worst, difference / magnitude)
  }
  return worst
}

/** The names of arrays that hold nothing but zeros. */
export const zerosAmong = (arrays: Arrays): string[] =>
  Object.entries(arrays).flatMap(([name, { data }]) => (data.every((x) => x === 0) ? [name] : []))
