import crossEntropySource from '../../wgsl/cross_entropy.wgsl'
import softmaxSource from '../../wgsl/softmax.wgsl'
import { type Device, defineKernel, type GpuBuffer, linearGrid } from '../gpu/index.ts'
import { reduce } from './reduce.ts'

const softmaxKernel = defineKernel('softmax', softmaxSource)
const crossEntropyKernel = defineKernel('cross_entropy', crossEntropySource)

export type SoftmaxFunction = 'SOFTMAX' | 'LOG_SOFTMAX'
export type SoftmaxGradFunction = 'SOFTMAX_GRAD' | 'LOG_SOFTMAX_GRAD'

/**
 * Invocations that share a row. A barrier costs a software adapter more than the sharing gains: one lane a row is 10 to
 * 100 times as fast on lavapipe for thousands of rows, and as fast for 8 rows of 4,096.
 */
const lanesFor = (device: Device, columns: number) =>
  device.info.software || columns <= 4 ? 1 : columns <= 32 ? 8 : 64

function launch(
  device: Device,
  f: SoftmaxFunction | SoftmaxGradFunction,
  a: GpuBuffer,
  b: GpuBuffer,
  rows: number,
  columns: number,
): GpuBuffer {
  const count = rows * columns
  const out = device.alloc(Math.max(4, count * 4))
  const lanes = lanesFor(device, columns)
  const variant = softmaxKernel.variant({ OP: f, LANES: lanes })
  const grid = linearGrid(count === 0 ? 0 : rows * lanes, 64)
  device.dispatch(variant, [a, b, out], { rows, columns }, grid, { flops: 5 * count, bytes: 4 * count * 2 })
  return out
}

/** Softmax or its logarithm along the rows of x: [rows, columns]. About 5 FLOPs an element. */
export const softmax = (device: Device, f: SoftmaxFunction, x: GpuBuffer, rows: number, columns: number): GpuBuffer =>
  launch(device, f, x, x, rows, columns)

/** The gradient of `softmax` from the one that arrives and the output. */
export const softmaxGrad = (
  device: Device,
  f: SoftmaxGradFunction,
  grad: GpuBuffer,
  y: GpuBuffer,
  rows: number,
  columns: number,
): GpuBuffer => launch(device, f, grad, y, rows, columns)

/** Mean over the rows of the cross entropy of logits [rows, columns] with labels (i32) [rows]: one number. */
export function crossEntropy(
  device: Device,
  logits: GpuBuffer,
  labels: GpuBuffer,
  rows: number,
  columns: number,
): GpuBuffer {
  const losses = device.alloc(rows * 4)
  const lanes = lanesFor(device, columns)
  const variant = crossEntropyKernel.variant({ OP: 'LOSS', LANES: lanes })
  const params = { rows, columns, scale: 1, invalid: Number.NaN }
  const work = { flops: 4 * rows * columns, bytes: 4 * rows * (columns + 2) }
  device.dispatch(variant, [logits, labels, logits, losses], params, linearGrid(rows * lanes, 64), work)
  const mean = reduce(device, losses, 1, rows, 1, 1 / rows)
  device.release(losses)
  return mean
}

/** (softmax(logits) − onehot(labels))·g/rows, with g: [1]. */
export function crossEntropyGrad(
  device: Device,
  logits: GpuBuffer,
  labels: GpuBuffer,
  g: GpuBuffer,
  rows: number,
  columns: number,
): GpuBuffer {
  const count = rows * columns
  const out = device.alloc(count * 4)
  const lanes = lanesFor(device, columns)
  const variant = crossEntropyKernel.variant({ OP: 'GRAD', LANES: lanes })
  const params = { rows, columns, scale: 1 / rows, invalid: Number.NaN }
  const work = { flops: 6 * count, bytes: 8 * count + 4 * rows }
  device.dispatch(variant, [logits, labels, g, out], params, linearGrid(rows * lanes, 64), work)
  return out
}
