import source from '../../wgsl/reduce.wgsl'
import { type Device, defineKernel, type GpuBuffer } from '../gpu/index.ts'
import { teamFor, teamOfOne } from './team.ts'

const kernel = defineKernel('reduce', source)

/**
 * Sums over the middle dimension of x: [outer, reduced, inner] to [outer, inner], times `scale`.
 * FLOPs: one an element; bytes: the input and the output.
 */
export function reduce(
  device: Device,
  x: GpuBuffer,
  outer: number,
  reduced: number,
  inner: number,
  scale = 1,
): GpuBuffer {
  const outputs = outer * inner
  const out = device.alloc(Math.max(4, outputs * 4))
  // Along neighbouring elements a team shares an output; across them each invocation walks its own.
  const width = inner === 1 && reduced % 4 === 0 ? 4 : 1
  const { constants, grid } = inner === 1 ? teamFor(device, outputs, reduced) : teamOfOne(device, outputs)
  const { LANES, SIZE, Team } = constants
  const variant = kernel.variant({ LANES, SIZE, Team, V: width === 4 ? 'vec4f' : 'f32', WIDTH: width })
  const work = { flops: outputs * reduced, bytes: 4 * (outputs * reduced + outputs) }
  device.dispatch(variant, [x, out], { outputs, reduced: reduced / width, inner, scale }, grid, work)
  return out
}
