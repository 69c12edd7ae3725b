import source from '../../wgsl/reduce.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'

const kernel = defineKernel('reduce', source)

export type ReduceFunction = 'SUM' | 'MAX' | 'SUM_SQUARES'

/** Barriers are dear on software adapters: lanes share an output only where there are too few to go round. */
const softwareLanes = (outputs: number): number => (outputs >= 16 ? 1 : 64)

/**
 * Reduces the middle dimension of x: [outer, reduced, inner] to [outer, inner], times `scale`.
 * FLOPs: one an element; bytes: the input and the output.
 */
export function reduce(
  device: Device,
  f: ReduceFunction,
  x: GpuBuffer,
  outer: number,
  reduced: number,
  inner: number,
  scale = 1,
): GpuBuffer {
  const outputs = outer * inner
  const out = device.alloc(Math.max(4, outputs * 4))
  const lanes = inner > 1 || reduced <= 4 ? 1 : device.info.software ? softwareLanes(outputs) : reduced <= 32 ? 8 : 64
  const work = { flops: outputs * reduced, bytes: 4 * (outputs * reduced + outputs) }
  const variant = kernel.variant({ OP: f, LANES: lanes })
  device.dispatch(variant, [x, out], { outputs, reduced, inner, scale }, linearGrid(outputs * lanes, 64), work)
  return out
}
