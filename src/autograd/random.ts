import { optionError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import * as kernels from '../kernels/index.ts'
import { expectDevice, expectFinite } from './arguments.ts'
import { checkKey, type Key } from './philox.ts'
import { checkShape, type Shape, sizeOf } from './shape.ts'
import { Storage } from './storage.ts'
import { Tensor } from './tensor.ts'

export { fork, normalReference, philox4x32, uniformReference } from './philox.ts'

export interface UniformOptions {
  /** Default 0. */
  low?: number
  /** Default 1. */
  high?: number
}

/**
 * Uniform in [low, high), or `low` where both are equal. Element i depends on i and the key alone
 * (Philox4x32-10), the same on every adapter; `uniformReference` gives the same numbers on the host, exactly for [0, 1)
 * and where low + u·(high − low) needs no rounding, else to the last bit.
 */
export function uniform(device: Device, shape: Shape, key: Key, options: UniformOptions = {}): Tensor {
  rejectUnknownOptions('uniform', options, ['low', 'high'])
  const { low = 0, high = 1 } = options
  expectDevice('uniform', device)
  checkShape('uniform', shape)
  checkKey('uniform', key)
  const { seed, stream = 0 } = key
  expectFinite('uniform', 'low', low)
  expectFinite('uniform', 'high', high)
  if (low > high) throw optionError(`uniform: low is ${low}, high is ${high}.`, 'Pass low ≤ high.')
  const most = Math.max(low, floatBelow(high))
  const buffer = kernels.random(device, 'UNIFORM', sizeOf(shape), seed, stream, low, high - low, most)
  return new Tensor(new Storage(device, buffer), shape)
}

/** The largest normal f32 below x. */
function floatBelow(x: number): number {
  const float = Float32Array.of(x)
  if ((float[0] as number) < x) return float[0] as number
  if (float[0] === 0) return -(2 ** -126)
  const bits = new Int32Array(float.buffer)
  bits[0] = (bits[0] as number) + (x > 0 ? -1 : 1)
  return float[0] as number
}

export interface NormalOptions {
  /** Default 0. */
  mean?: number
  /** Standard deviation. Default 1. */
  std?: number
}

/**
 * Normally distributed (Box–Muller). Element i depends on i and the key alone, the same on every adapter up to
 * rounding; `normalReference` gives the same numbers on the host. Magnitudes reach 5.77 standard deviations.
 */
export function normal(device: Device, shape: Shape, key: Key, options: NormalOptions = {}): Tensor {
  rejectUnknownOptions('normal', options, ['mean', 'std'])
  const { mean = 0, std = 1 } = options
  expectDevice('normal', device)
  checkShape('normal', shape)
  checkKey('normal', key)
  const { seed, stream = 0 } = key
  expectFinite('normal', 'mean', mean)
  expectFinite('normal', 'std', std)
  const buffer = kernels.random(device, 'NORMAL', sizeOf(shape), seed, stream, mean, std)
  return new Tensor(new Storage(device, buffer), shape)
}
