import type { Device } from '../gpu/index.ts'
import { bytesEach, dtypesOf, type Halves } from './half.ts'
import { classOf, partsToTime } from './tuned.ts'

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
export function workOf({ n, c, h, w, o, ho, wo, kh, kw }: Conv2dSizes, { left, right }: Halves = {}) {
  const bytes = bytesEach(left) * n * c * h * w + bytesEach(right) * o * c * kh * kw + 4 * n * o * ho * wo
  return { flops: 2 * n * o * ho * wo * c * kh * kw, bytes }
}

/** Units of four neighbouring pixels of a row. */
export const unitsOf = ({ n, ho, wo }: Conv2dSizes): number => n * ho * Math.ceil(wo / 4)

/** `sizes` with as many images as the tuner times, and the name of their class. */
export function timed(device: Device, sizes: Conv2dSizes, halves: Halves): { sizes: Conv2dSizes; shape: string } {
  const { n, c, o, ho, wo, kh, kw, stride } = sizes
  const own = { ...sizes, n: partsToTime(device, n, workOf({ ...sizes, n: 1 })) }
  return { sizes: own, shape: `${dtypesOf(halves)} ${kh}×${kw}/${stride} ${classOf(own.n * ho, wo, c, o)}` }
}
