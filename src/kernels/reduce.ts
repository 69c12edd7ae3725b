import source from '../../wgsl/reduce.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { shareFor } from './share.ts'
import { teamFor, teamOfOne } from './team.ts'

const kernel = defineKernel('reduce', source)

/**
 * Sums over the middle dimension of x: [outer, reduced, inner] to [outer, inner], times `scale`.
 * On a GPU, a long dimension with few outputs is added up in parts first, and these by a second launch.
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
  // Along neighbouring elements a team shares an output, four at a time where it can.
  const width = inner === 1 && reduced % 4 === 0 ? 4 : 1
  const V = width === 4 ? 'vec4f' : 'f32'
  const count = reduced / width
  const out = (sums: number) => device.alloc(Math.max(4, sums * 4))
  const workOf = (sums: number) => ({ flops: outputs * reduced, bytes: 4 * (outputs * reduced + sums) })
  if (device.info.software) {
    const result = out(outputs)
    // Across neighbouring elements each invocation walks its own.
    const { constants, grid } = inner === 1 ? teamFor(device, outputs, reduced) : teamOfOne(outputs)
    const { LANES, SIZE, Team } = constants
    const variant = kernel.variant({ LANES, SIZE, Team, V, WIDTH: width })
    const params = { outputs, reduced: count, inner, scale, parts: 1, part: count }
    device.dispatch(variant, [x, result], params, grid, workOf(outputs))
    return result
  }
  const { constants, across, parts, part } = shareFor(outputs, count, inner > 1)
  const { LANES, SIZE, Team } = constants
  const sums = outputs * parts
  const result = out(sums)
  const variant = kernel.variant({ LANES, SIZE, Team, V, WIDTH: width, ACROSS: across, PARTS: parts > 1 })
  const params = { outputs: sums, reduced: count, inner, scale: parts > 1 ? 1 : scale, parts, part }
  device.dispatch(variant, [x, result], params, loopGrid(device, sums * LANES, SIZE), workOf(sums))
  if (parts === 1) return result
  const total = reduce(device, result, outer, parts, inner, scale)
  device.release(result)
  return total
}
