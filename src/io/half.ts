import { Ld3mError } from '../errors.ts'

/** The largest finite half-precision number. */
export const LARGEST_HALF = 65_504

/**
 * IEEE half-precision bits of the nearest numbers, ties to even. Finite numbers beyond ±65,504 become ±65,504, since a
 * kernel may assume that there is no infinity; below 2⁻²⁴ in magnitude they round to that or to zero.
 * @throws Ld3mError `numeric` for NaN and infinities
 */
export function toHalfBits(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number
    const magnitude = word & 0x7fff_ffff
    if (magnitude >= 0x7f80_0000) {
      throw new Ld3mError('numeric', `Element ${i} is ${values[i]}; f16 takes finite numbers.`, 'Look where it arose.')
    }
    out[i] = ((word >>> 16) & 0x8000) | magnitudeBits(magnitude)
  }
  return out
}

/** The bits of a finite f32 without its sign to those of the half; wgsl/cast.wgsl does the same. */
function magnitudeBits(magnitude: number): number {
  // Normal halves: the exponent's bias changes from 127 to 15, and 13 bits are rounded away.
  if (magnitude >= 0x3880_0000) {
    const capped = Math.min(magnitude, 0x477f_e000)
    return (capped - 0x3800_0000 + 0xfff + ((capped >>> 13) & 1)) >>> 13
  }
  // Subnormal halves are whole multiples of 2⁻²⁴; beyond 25 bits nothing is left.
  const shift = Math.min(126 - (magnitude >>> 23), 25)
  const mantissa = (magnitude & 0x7f_ffff) | 0x80_0000
  return (mantissa + (1 << (shift - 1)) - 1 + ((mantissa >>> shift) & 1)) >>> shift
}

/** The value of IEEE half-precision bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}
