import castSource from '../../wgsl/cast.wgsl'
import { type Constants, type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const castKernel = defineKernel('cast', castSource)

/** Bytes of an element. */
export const bytesEach = (half: boolean | undefined): number => (half ? 2 : 4)

/** Which operands of a product are stored in half precision; needs an adapter with shader-f16. */
export interface Halves {
  /** The first operand: x, grad or a. */
  readonly left?: boolean
  /** The second operand: weight or b. */
  readonly right?: boolean
}

const HALF_OF: Readonly<Record<string, string>> = { f32: 'f16', vec2f: 'vec2h', vec4f: 'vec4h' }

/** Constants for types of which some are stored in half precision: those in `halves`, by their f32 type. */
export function halved(halves: Readonly<Record<string, string | false | undefined>>): Constants {
  const types = Object.entries(halves).flatMap(([alias, type]) => (type ? [[alias, HALF_OF[type] as string]] : []))
  return types.length > 0 ? { HALF: true, ...Object.fromEntries(types) } : {}
}

/** out [count] = x in half precision (`half`), or back in f32. */
export function cast(device: Device, x: GpuBuffer, count: number, half: boolean): GpuBuffer {
  const units = Math.ceil(count / 4)
  const out = device.alloc(Math.max(4, units * 4 * bytesEach(half)))
  const variant = castKernel.variant(half ? {} : { HALVE: false, From: 'vec2u', To: 'vec4u' })
  const work = { flops: 0, bytes: 6 * count }
  device.dispatch(variant, [x, out], { count: units }, loopGrid(device, units, 64), work)
  return out
}

/** The operands' types, for people and for the tuner: `f32`, or both where one is half. */
export const dtypesOf = ({ left, right }: Halves): string => {
  const name = (half: boolean | undefined) => (half ? 'f16' : 'f32')
  return left || right ? `${name(left)}·${name(right)}` : 'f32'
}
