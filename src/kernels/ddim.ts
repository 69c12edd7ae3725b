import source from '../../wgsl/ddim.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'

const kernel = defineKernel('ddim', source)

/** Most terms that one launch can combine. */
export const MAX_TERMS = 5

/** out = Σ coefficients[k] · terms[k], one to five terms of `count` elements. */
export function linearCombination(
  device: Device,
  terms: readonly GpuBuffer[],
  coefficients: readonly number[],
  count: number,
): GpuBuffer {
  const out = device.alloc(Math.max(4, count * 4))
  const [ca = 0, cb = 0, cc = 0, cd = 0, ce = 0] = coefficients
  const first = terms[0] as GpuBuffer
  const inputs = Array.from({ length: MAX_TERMS }, (_, k) => terms[k] ?? first)
  const work = { flops: 2 * count * terms.length, bytes: 4 * count * (terms.length + 1) }
  const params = { count, ca, cb, cc, cd, ce }
  device.dispatch(kernel.variant({ TERMS: terms.length }), [...inputs, out], params, loopGrid(device, count, 64), work)
  return out
}
