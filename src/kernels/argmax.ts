import source from '../../wgsl/argmax.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'
import { type Share, shareFor } from './share.ts'

const kernel = defineKernel('argmax', source)

/** One invocation an output, which a software adapter is fastest with. */
const alone = (reduced: number): Share => ({
  constants: { LANES: 1, SIZE: 64, Team: 'team_alone' },
  across: false,
  parts: 1,
  part: reduced,
})

/**
 * Indices (i32) of the largest along the middle dimension of x: [outer, reduced, inner]; the first of equals.
 * On a GPU, a long dimension with few outputs is searched in parts first, and what these give by further launches.
 * FLOPs: one an element; bytes: the input and the output.
 */
export function argmax(device: Device, x: GpuBuffer, outer: number, reduced: number, inner: number): GpuBuffer {
  return search(device, x, undefined, { outer, length: reduced, inner }, reduced)
}

/** Searches all of x: [outer, length, inner], or the `count` elements of each output that `candidates` names. */
function search(
  device: Device,
  x: GpuBuffer,
  candidates: GpuBuffer | undefined,
  sizes: { readonly outer: number; readonly length: number; readonly inner: number },
  count: number,
): GpuBuffer {
  const { outer, length, inner } = sizes
  const shared = device.info.software ? alone(count) : shareFor(outer * inner, count, inner > 1)
  const { constants, across, parts, part } = shared
  const outputs = outer * parts * inner
  const out = device.alloc(Math.max(4, outputs * 4))
  const { LANES, SIZE, Team } = constants
  const joins = candidates !== undefined
  const variant = kernel.variant({ LANES, SIZE, Team, ACROSS: across, PARTS: parts > 1, JOINS: joins })
  const elements = outer * count * inner
  device.dispatch(
    variant,
    candidates ? [x, out, candidates] : [x, out],
    { outputs, length, reduced: count, inner, parts, part },
    linearGrid(outputs * LANES, SIZE),
    { flops: elements, bytes: 4 * (elements * (joins ? 2 : 1) + outputs) },
  )
  if (parts === 1) return out
  const joined = search(device, x, out, sizes, parts)
  device.release(out)
  return joined
}
