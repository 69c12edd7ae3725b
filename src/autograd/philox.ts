import { formatValue, optionError } from '../errors.ts'

/** What a stream of random numbers is made of: the same key gives the same numbers on every adapter and here. */
export interface Key {
  /** 0 to 2³² − 1. */
  readonly seed: number
  /** Streams of one seed are independent; two draws with the same one are equal. 0 to 2³² − 1. Default 0. */
  readonly stream?: number
}

type Words = readonly [number, number, number, number]

/**
 * Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key, least significant words first.
 * Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
export function philox4x32(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter
  let [k0, k1] = key
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0)
    const high1 = multiplyHigh(0xcd9e8d57, c2)
    const low0 = Math.imul(0xd2511f53, c0) >>> 0
    const low1 = Math.imul(0xcd9e8d57, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + 0x9e3779b9) >>> 0
    k1 = (k1 + 0xbb67ae85) >>> 0
  }
  return [c0, c1, c2, c3]
}

/** High word of the 64-bit product of two words. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  const middle = a1 * b0 + Math.floor((a0 * b0) / 0x10000)
  return (a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(((middle % 0x10000) + a0 * b1) / 0x10000)) >>> 0
}

/** @throws Ld3mError `option` unless both halves are integers of 32 bits */
export function checkKey(where: string, key: Key): void {
  if (typeof key !== 'object' || key === null) {
    throw optionError(
      `${where}: the key is ${formatValue(key)}.`,
      'Pass a { seed, stream } of integers; stream may be left out.',
    )
  }
  const { seed, stream = 0 } = key
  for (const [name, value] of Object.entries({ seed, stream })) {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
      throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Use an integer from 0 to 4294967295.')
    }
  }
}

/** Uniform in [0, 1): the top 24 bits, so that every value is exact in f32. */
const toUniform = (word: number): number => (word >>> 8) / 2 ** 24

/** Two independent standard normals of two words, by Box–Muller; u > 0 guards the logarithm. */
function toNormals(a: number, b: number): [number, number] {
  const u = ((a >>> 8) + 1) / 2 ** 24
  const angle = (2 * Math.PI * (b >>> 8)) / 2 ** 24
  const radius = Math.sqrt(-2 * Math.log(u))
  return [radius * Math.cos(angle), radius * Math.sin(angle)]
}

const block = ({ seed, stream = 0 }: Key, index: number): Words => philox4x32([index, 0, 0, 0], [seed, stream])

/** The numbers that `uniform` puts on a device for this key, in [0, 1). */
export function uniformReference(key: Key, count: number): Float64Array {
  const out = new Float64Array(count)
  for (let i = 0; i < count; i += 4) {
    const words = block(key, i / 4)
    for (let k = 0; k < 4 && i + k < count; k++) out[i + k] = toUniform(words[k] as number)
  }
  return out
}

/** The numbers that `normal` puts on a device for this key, with mean 0 and standard deviation 1, in float64. */
export function normalReference(key: Key, count: number): Float64Array {
  const out = new Float64Array(count)
  for (let i = 0; i < count; i += 4) {
    const [a, b, c, d] = block(key, i / 4)
    out.set([...toNormals(a, b), ...toNormals(c, d)].slice(0, count - i), i)
  }
  return out
}

/** FNV-1a over UTF-8. */
function hash(text: string, basis: number): number {
  let h = basis
  for (const byte of new TextEncoder().encode(text)) h = Math.imul(h ^ byte, 0x01000193) >>> 0
  return h
}

/**
 * A key of its own for a part of the work, by name or number: the draws of one part then do not depend on how many
 * another part takes.
 * @param part any string, or an integer ≥ 0
 */
export function fork(key: Key, part: string | number): Key {
  checkKey('fork', key)
  if (typeof part === 'number' && !(Number.isSafeInteger(part) && part >= 0)) {
    throw optionError(`fork: the part is ${part}.`, 'Use an integer ≥ 0 or a string.')
  }
  const [low, high, kind] =
    typeof part === 'number'
      ? [part % 2 ** 32, Math.floor(part / 2 ** 32), 0]
      : [hash(part, 0x811c9dc5), hash(part, 0x2166f1a7), 1]
  // Draws have a last counter word of 0: forks lie in another part of the same key's stream.
  const [seed, stream] = philox4x32([low, high, kind, 0xffffffff], [key.seed, key.stream ?? 0])
  return { seed, stream }
}

/**
 * Random draws on the host. A new one gives, number for number, what `uniform` or `normal` puts on a device for the
 * same key.
 */
export class HostRandom {
  #words: Words = [0, 0, 0, 0]
  /** Words taken so far. */
  #position = 0
  #spare: number | undefined

  constructor(readonly key: Key) {
    checkKey('HostRandom', key)
  }

  /** 32 random bits. */
  #word(): number {
    if (this.#position % 4 === 0) this.#words = block(this.key, this.#position / 4)
    return this.#words[this.#position++ % 4] as number
  }

  /** Uniform in [0, 1), a multiple of 2⁻²⁴. */
  uniform(): number {
    this.#spare = undefined
    return toUniform(this.#word())
  }

  /** Normal with mean 0 and standard deviation 1. */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare
      this.#spare = undefined
      return spare
    }
    // Pairs begin at even words, as on the device.
    if (this.#position % 2 === 1) this.#word()
    const [first, second] = toNormals(this.#word(), this.#word())
    this.#spare = second
    return first
  }

  /** A whole number from 0 to below − 1, all equally likely. `below` is 1 to 2³². */
  integer(below: number): number {
    if (!Number.isInteger(below) || below < 1 || below > 2 ** 32) {
      throw optionError(`HostRandom.integer: below is ${below}.`, 'Use an integer from 1 to 2³².')
    }
    this.#spare = undefined
    // Words beyond the last full multiple would make small numbers more likely.
    const limit = 2 ** 32 - (2 ** 32 % below)
    let word = this.#word()
    while (word >= limit) word = this.#word()
    return word % below
  }

  /** 0 to n − 1 in random order (Fisher–Yates). */
  shuffle(n: number): Int32Array<ArrayBuffer> {
    const order = Int32Array.from({ length: n }, (_, i) => i)
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const other = order[j] as number
      order[j] = order[i] as number
      order[i] = other
    }
    return order
  }

  /** One of the items. */
  choice<T>(items: readonly T[]): T {
    if (items.length === 0) throw optionError('HostRandom.choice: the list is empty.', 'Pass at least one item.')
    return items[this.integer(items.length)] as T
  }

  /** Draws of their own for a part of the work; see `fork`. Takes nothing from these. */
  fork(part: string | number): HostRandom {
    return new HostRandom(fork(this.key, part))
  }
}
