import source from '../../wgsl/random.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const kernel = defineKernel('random', source)

export type Distribution = 'UNIFORM' | 'NORMAL'

/**
 * `count` random numbers: uniform in [p, p + q), or normal with mean p and standard deviation q. Element i depends on
 * i and the key (seed, stream) alone.
 * @param most the largest uniform number: the rounding of p + q·u may reach p + q
 */
export function random(
  device: Device,
  distribution: Distribution,
  count: number,
  seed: number,
  stream: number,
  p: number,
  q: number,
  most = Number.POSITIVE_INFINITY,
): GpuBuffer {
  const out = device.alloc(Math.max(4, count * 4))
  const work = { flops: count * (distribution === 'NORMAL' ? 20 : 2), bytes: count * 4 }
  const grid = loopGrid(device, Math.ceil(count / 4), 64)
  device.dispatch(kernel.variant({ OP: distribution }), [out], { count, seed, stream, p, q, most }, grid, work)
  return out
}
