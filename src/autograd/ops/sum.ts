import { rejectNonBooleans, rejectUnknownOptions, shapeError } from '../../errors.ts'
import type { Device, GpuBuffer } from '../../gpu/index.ts'
import * as kernels from '../../kernels/index.ts'
import { expectList } from '../arguments.ts'
import { chain } from '../chain.ts'
import { defineOp } from '../op.ts'
import { broadcastShapes, checkShape, formatShape, normalizeAxis, type Shape, sameShape, sizeOf } from '../shape.ts'
import { type Tensor, zeros } from '../tensor.ts'
import { reshape } from './reshape.ts'

/** Dimensions to reduce: one, several, or all if omitted; negative ones count from the end. */
export type Axes = number | readonly number[]

export interface ReduceAttrs {
  /** Ascending, without duplicates. */
  readonly axes: readonly number[]
  readonly keepDims: boolean
}

const reducedShape = (shape: Shape, { axes, keepDims }: ReduceAttrs): number[] =>
  keepDims ? shape.map((d, i) => (axes.includes(i) ? 1 : d)) : shape.filter((_, i) => !axes.includes(i))

/** Runs of adjacent summed dimensions, innermost first, each one pass of the kernel. */
function sumAll(device: Device, x: Tensor, axes: readonly number[]): GpuBuffer {
  const shape = [...x.shape]
  let buffer = x.buffer
  let owned = false
  let end = axes.length
  while (end > 0) {
    let start = end - 1
    while (start > 0 && (axes[start - 1] as number) + 1 === axes[start]) start--
    const first = axes[start] as number
    const last = axes[end - 1] as number
    const outer = sizeOf(shape.slice(0, first))
    const reduced = sizeOf(shape.slice(first, last + 1))
    const inner = sizeOf(shape.slice(last + 1))
    const out = kernels.reduce(device, buffer, outer, reduced, inner)
    if (owned) device.release(buffer)
    shape.splice(first, last + 1 - first)
    buffer = out
    owned = true
    end = start
  }
  return buffer
}

/** Ascending dimension indices of `axes`. */
export function resolveAxes(where: string, x: Tensor, axes: Axes | undefined): number[] {
  if (axes === undefined) return x.shape.map((_, i) => i)
  if (typeof axes !== 'number') expectList(where, 'axes', axes)
  const list = (typeof axes === 'number' ? [axes] : axes).map((a) => normalizeAxis(where, a, x.rank))
  if (new Set(list).size !== list.length) throw shapeError(`${where}: axes ${list} repeat.`, 'Name each axis once.')
  return list.sort((a, b) => a - b)
}

export const sumOp = defineOp<ReduceAttrs>({
  name: 'sum',
  shape: ([x], attrs) => reducedShape((x as Tensor).shape, attrs),
  forward: (device, [x], { axes }) => sumAll(device, x as Tensor, axes),
  saves: [],
  vjp: ({ grad, attrs, shapes: [shape] }) => [
    broadcastTo(reshape(grad, reducedShape(shape as Shape, { ...attrs, keepDims: true })), shape as Shape),
  ],
})

export interface ReduceOptions {
  /** Keep reduced dimensions with size 1. Default false. */
  keepDims?: boolean
}

/** Whether a reduction keeps its dimensions. */
export function keepsDims(where: string, options: ReduceOptions): boolean {
  rejectUnknownOptions(where, options, ['keepDims'])
  rejectNonBooleans(where, { keepDims: options.keepDims })
  return options.keepDims ?? false
}

/** Sum over `axes` (all if omitted). */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const keepDims = keepsDims('sum', options)
  const list = resolveAxes('sum', x, axes)
  if (list.length === 0 || x.size === 0) return list.length === 0 ? x.alias() : emptyError('sum', x)
  return sumOp.apply([x], { axes: list, keepDims })
}

/** Sums over the dimensions along which `shape` broadcasts to x's shape: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const offset = x.rank - shape.length
  const axes = x.shape.flatMap((d, i) => (i < offset || (shape[i - offset] === 1 && d !== 1) ? [i] : []))
  // A sum of nothing.
  if (axes.length > 0 && x.size === 0) return zeros(x.device, shape)
  return reshape(axes.length === 0 ? x : sum(x, axes), shape)
}

export const broadcastToOp = defineOp<{ readonly shape: Shape }>({
  name: 'broadcastTo',
  shape([x], { shape }) {
    if (!sameShape(broadcastShapes('broadcastTo', (x as Tensor).shape, shape), shape)) {
      throw shapeError(
        `broadcastTo: ${formatShape((x as Tensor).shape)} does not expand to ${formatShape(shape)}.`,
        'Aligned from the last dimension, each size must be equal or 1.',
      )
    }
    return shape
  },
  forward: (device, inputs, _, shape) => chain(device, undefined, inputs, shape),
  saves: [],
  vjp: ({ grad, shapes: [shape] }) => [sumTo(grad, shape as Shape)],
})

/** Repeats x along dimensions of size 1 (and new outer ones) to `shape`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkShape('broadcastTo', shape)
  if (sameShape(x.shape, shape)) return x.alias()
  if (kernels.walkOf([kernels.layoutOf(x.shape, shape)])) return broadcastToOp.apply([x], { shape })
  // It alternates between more dimensions than a kernel walks: the innermost one first, which takes three.
  const partly = [...new Array<number>(Math.max(0, shape.length - x.rank)).fill(1), ...x.shape]
  const axis = partly.findLastIndex((d, i) => d !== shape[i])
  partly[axis] = shape[axis] as number
  return broadcastTo(broadcastToOp.apply([x], { shape: partly }), shape)
}

function emptyError(where: string, x: Tensor): never {
  throw shapeError(`${where}: the input of shape ${formatShape(x.shape)} is empty.`, 'Pass at least one element.')
}
