import gatherSource from '../../wgsl/gather.wgsl'
import gatherAxisSource from '../../wgsl/gather_axis.wgsl'
import oneHotSource from '../../wgsl/one_hot.wgsl'
import scatterAddSource from '../../wgsl/scatter_add.wgsl'
import scatterAddMarkedSource from '../../wgsl/scatter_add_marked.wgsl'
import scatterAxisSource from '../../wgsl/scatter_axis.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid, loopGrid } from '../gpu/index.ts'

const gatherKernel = defineKernel('gather', gatherSource)
const scatterAddKernel = defineKernel('scatter_add', scatterAddSource)
const scatterAddMarkedKernel = defineKernel('scatter_add_marked', scatterAddMarkedSource)
const oneHotKernel = defineKernel('one_hot', oneHotSource)
const gatherAxisKernel = defineKernel('gather_axis', gatherAxisSource)
const scatterAxisKernel = defineKernel('scatter_axis', scatterAxisSource)

/** out[n] = table[indices[n]], rows of `inner` elements; a row of NaN for an index outside of the table. */
export function gather(
  device: Device,
  table: GpuBuffer,
  rows: number,
  inner: number,
  indices: GpuBuffer,
  indexCount: number,
): GpuBuffer {
  const count = indexCount * inner
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, inner, rows, invalid: Number.NaN }
  const work = { flops: 0, bytes: count * 8 + indexCount * 4 }
  device.dispatch(gatherKernel.variant(), [table, indices, out], params, loopGrid(device, count, 64), work)
  return out
}

/** out[r] = Σ x[n] over indices[n] = r: `rows` rows of `inner` elements, added in the order of n. */
export function scatterAdd(
  device: Device,
  x: GpuBuffer,
  indices: GpuBuffer,
  indexCount: number,
  rows: number,
  inner: number,
): GpuBuffer {
  const out = device.alloc(Math.max(4, rows * inner * 4))
  const work = { flops: indexCount * inner, bytes: 4 * (rows * inner + indexCount * inner + indexCount) }
  if (!device.info.software) {
    // A workgroup owns up to 256 columns of a block of rows; 8,192 workgroups more than fill a GPU.
    const chunks = Math.ceil(inner / 256)
    const block = Math.ceil(rows / Math.max(1, Math.min(rows, Math.floor(8192 / chunks))))
    const count = chunks * Math.ceil(rows / block)
    const params = { count, chunks, inner, indices: indexCount, rows, block }
    device.dispatch(scatterAddMarkedKernel.variant(), [x, indices, out], params, linearGrid(count, 1), work)
    return out
  }
  const wanted = Math.ceil(1024 / Math.max(1, inner))
  const block = Math.ceil(rows / Math.min(rows, wanted))
  const count = inner * Math.ceil(rows / block)
  const params = { count, inner, indices: indexCount, rows, block }
  device.dispatch(scatterAddKernel.variant(), [x, indices, out], params, loopGrid(device, count, 64), work)
  return out
}

/** out[n, c] = 1 where indices[n] = c, else 0. */
export function oneHot(device: Device, indices: GpuBuffer, indexCount: number, classes: number): GpuBuffer {
  const count = indexCount * classes
  const out = device.alloc(Math.max(4, count * 4))
  const work = { flops: 0, bytes: 4 * (count + indexCount) }
  device.dispatch(oneHotKernel.variant(), [indices, out], { count, classes }, loopGrid(device, count, 64), work)
  return out
}

/** out[o, i] = x[o, indices[o, i], i] for x: [outer, reduced, inner]; NaN for an index out of range. */
export function gatherAxis(
  device: Device,
  x: GpuBuffer,
  indices: GpuBuffer,
  outer: number,
  reduced: number,
  inner: number,
): GpuBuffer {
  const count = outer * inner
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, reduced, inner, invalid: Number.NaN }
  const work = { flops: 0, bytes: count * 12 }
  device.dispatch(gatherAxisKernel.variant(), [x, indices, out], params, loopGrid(device, count, 64), work)
  return out
}

/** out[o, r, i] = x[o, i] where indices[o, i] = r, else 0. */
export function scatterAxis(
  device: Device,
  x: GpuBuffer,
  indices: GpuBuffer,
  outer: number,
  reduced: number,
  inner: number,
): GpuBuffer {
  const count = outer * reduced * inner
  const out = device.alloc(Math.max(4, count * 4))
  const work = { flops: 0, bytes: 4 * count + 8 * outer * inner }
  device.dispatch(
    scatterAxisKernel.variant(),
    [x, indices, out],
    { count, reduced, inner },
    loopGrid(device, count, 64),
    work,
  )
  return out
}
