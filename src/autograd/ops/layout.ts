import { shapeError } from '../../errors.ts'
import type { Padding } from '../../kernels/index.ts'
import * as kernels from '../../kernels/index.ts'
import { expectList } from '../arguments.ts'
import { defineOp } from '../op.ts'
import { formatShape, normalizeAxis, type Shape, sameShape, sizeOf, stridesOf } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { reshape } from './reshape.ts'

// --- permute --------------------------------------------------------------------------------------------------------

export const permuteOp = defineOp<{ readonly order: readonly number[] }>({
  name: 'permute',
  inputTypes: 'any',
  dtype: 'input',
  shape([x], { order }) {
    const { shape } = x as Tensor
    const sorted = [...order].sort((a, b) => a - b)
    if (order.length !== shape.length || sorted.some((axis, i) => axis !== i)) {
      throw shapeError(
        `permute: order [${order}] does not permute the ${shape.length} dimensions of ${formatShape(shape)}.`,
        `Name each of 0 to ${shape.length - 1} once.`,
      )
    }
    return order.map((axis) => shape[axis] as number)
  },
  forward: (device, [x], { order }, outShape) => {
    const strides = stridesOf((x as Tensor).shape)
    return kernels.stridedCopy(
      device,
      (x as Tensor).buffer,
      outShape,
      order.map((axis) => strides[axis] as number),
      0,
    )
  },
  saves: [],
  vjp: ({ grad, attrs: { order } }) => [
    permute(
      grad,
      order.map((_, i) => order.indexOf(i)),
    ),
  ],
})

/**
 * Dimensions in another order: dimension i of the result is dimension order[i] of x. Negative ones count from the end.
 * @param order each dimension of x once
 */
export function permute(x: Tensor, order: readonly number[]): Tensor {
  expectList('permute', 'order', order)
  const resolved = order.map((axis) => normalizeAxis('permute', axis, x.rank))
  if (staysInMemory(x.shape, resolved)) {
    return reshape(
      x,
      resolved.map((axis) => x.shape[axis] as number),
    )
  }
  return permuteOp.apply([x], { order: resolved })
}

/** True for a permutation that only moves dimensions of size 1: the elements stay where they are. */
function staysInMemory(shape: Shape, order: readonly number[]): boolean {
  if (order.length !== shape.length || new Set(order).size !== shape.length) return false
  const moving = order.filter((axis) => shape[axis] !== 1)
  return moving.every((axis, i) => i === 0 || axis > (moving[i - 1] as number))
}

/** x with two dimensions exchanged (default: the last two). Negative ones count from the end. */
export function transpose(x: Tensor, i = -2, j = -1): Tensor {
  const order = x.shape.map((_, axis) => axis)
  const a = normalizeAxis('transpose', i, x.rank)
  const b = normalizeAxis('transpose', j, x.rank)
  order[a] = b
  order[b] = a
  return permute(x, order)
}

// --- slice, pad, flip -----------------------------------------------------------------------------------------------

export const sliceOp = defineOp<{ readonly axis: number; readonly start: number; readonly end: number }>({
  name: 'slice',
  inputTypes: 'any',
  dtype: 'input',
  shape([x], { axis, start, end }) {
    const { shape } = x as Tensor
    const size = shape[axis] as number
    if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end > size || start > end) {
      throw shapeError(
        `slice: ${start} to ${end} is not a range of dimension ${axis} of ${formatShape(shape)}.`,
        `Use integers with 0 ≤ start ≤ end ≤ ${size}.`,
      )
    }
    return shape.map((d, i) => (i === axis ? end - start : d))
  },
  forward: (device, [x], { axis, start }, outShape) => {
    const strides = stridesOf((x as Tensor).shape)
    return kernels.stridedCopy(device, (x as Tensor).buffer, outShape, strides, start * (strides[axis] as number))
  },
  saves: [],
  vjp: ({ grad, attrs: { axis, start, end }, shapes: [shape] }) => {
    const size = (shape as Shape)[axis] as number
    return [
      pad(
        grad,
        (shape as Shape).map((_, i): Padding => (i === axis ? [start, size - end] : [0, 0])),
      ),
    ]
  },
})

/**
 * Elements `start` (included) to `end` (excluded) along one dimension.
 * @throws Ld3mError `shape` unless 0 ≤ start ≤ end ≤ the dimension's size
 */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const resolved = normalizeAxis('slice', axis, x.rank)
  if (start === 0 && end === x.shape[resolved]) return x.alias()
  return sliceOp.apply([x], { axis: resolved, start, end })
}

export const padOp = defineOp<{ readonly padding: readonly Padding[]; readonly value: number }>({
  name: 'pad',
  inputTypes: 'any',
  dtype: 'input',
  shape([x], { padding, value }) {
    const { shape, dtype } = x as Tensor
    const out = shape.map((d, i) => d + (padding[i]?.[0] ?? 0) + (padding[i]?.[1] ?? 0))
    const fits = padding.length === shape.length && padding.flat().every(Number.isInteger)
    // A crop of more than there is would leave padding of the other side in its place.
    if (!fits || shape.some((d, i) => d + Math.min(...(padding[i] as Padding)) < 0 || (out[i] as number) < 0)) {
      throw shapeError(
        `pad: padding ${JSON.stringify(padding)} does not fit ${formatShape(shape)}.`,
        'Give [before, after] for each dimension; negative numbers crop, at most what is there.',
      )
    }
    if (dtype === 'i32' && !Number.isInteger(value)) {
      throw shapeError(`pad: the value ${value} is not an integer; the tensor is i32.`, 'Pad with an integer.')
    }
    return out
  },
  forward: (device, [x], { padding, value }) => {
    const { buffer, shape, dtype } = x as Tensor
    const bits = new Uint32Array(dtype === 'f32' ? Float32Array.of(value).buffer : Int32Array.of(value).buffer)
    return kernels.pad(device, buffer, shape, padding, bits[0] as number)
  },
  saves: [],
  vjp: ({ grad, attrs: { padding } }) => [
    pad(
      grad,
      padding.map(([before, after]): Padding => [-before, -after]),
    ),
  ],
})

/**
 * x with `value` before and after the elements of each dimension; negative numbers crop.
 * @param padding [before, after] for each dimension, outermost first
 */
export function pad(x: Tensor, padding: readonly Padding[], value = 0): Tensor {
  if (padding.length === x.rank && padding.every(([before, after]) => before === 0 && after === 0)) return x.alias()
  return padOp.apply([x], { padding, value })
}

export const flipOp = defineOp<{ readonly axis: number }>({
  name: 'flip',
  inputTypes: 'any',
  dtype: 'input',
  shape: ([x]) => (x as Tensor).shape,
  forward: (device, [x], { axis }, shape) => {
    const strides = stridesOf(shape)
    const stride = strides[axis] as number
    strides[axis] = -stride
    return kernels.stridedCopy(device, (x as Tensor).buffer, shape, strides, ((shape[axis] as number) - 1) * stride)
  },
  saves: [],
  vjp: ({ grad, attrs: { axis } }) => [flip(grad, axis)],
})

/** x with the elements along one dimension in reverse order. */
export const flip = (x: Tensor, axis: number): Tensor =>
  flipOp.apply([x], { axis: normalizeAxis('flip', axis, x.rank) })

// --- concat, stack, split -------------------------------------------------------------------------------------------

export const concatOp = defineOp<{ readonly axis: number }>({
  name: 'concat',
  inputTypes: 'any',
  dtype: 'input',
  shape(inputs, { axis }) {
    const first = inputs[0] as Tensor
    for (const [i, x] of inputs.entries()) {
      const aligned = x.rank === first.rank && x.shape.every((d, j) => j === axis || d === first.shape[j])
      if (!aligned || x.dtype !== first.dtype) {
        throw shapeError(
          `concat: input ${i} is ${x.dtype} ${formatShape(x.shape)}, input 0 is ${first.dtype} ${formatShape(first.shape)}.`,
          `All must have the same type, and the same sizes except along dimension ${axis}.`,
        )
      }
    }
    const joined = inputs.reduce((n, x) => n + (x.shape[axis] as number), 0)
    return first.shape.map((d, j) => (j === axis ? joined : d))
  },
  forward: (device, inputs, { axis }, outShape) =>
    kernels.concat(
      device,
      inputs.map((x) => ({ buffer: x.buffer, segment: sizeOf(x.shape.slice(axis)) })),
      sizeOf(outShape.slice(0, axis)),
    ),
  saves: [],
  vjp: ({ grad, attrs: { axis }, shapes, needs }) => {
    let start = 0
    return shapes.map((shape, i) => {
      const end = start + (shape[axis] as number)
      const part = needs[i] ? slice(grad, axis, start, end) : undefined
      start = end
      return part
    })
  },
})

/** The tensors behind each other along one dimension; all other sizes must be equal. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  expectList('concat', 'tensors', tensors)
  const [first] = tensors
  if (!first) throw shapeError('concat: the list of tensors is empty.', 'Pass at least one.')
  const resolved = normalizeAxis('concat', axis, first.rank)
  return tensors.length === 1 ? first.alias() : concatOp.apply(tensors, { axis: resolved })
}

/** Tensors of one shape along a new dimension `axis` of the result. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  expectList('stack', 'tensors', tensors)
  const [first] = tensors
  if (!first) throw shapeError('stack: the list of tensors is empty.', 'Pass at least one.')
  const at = normalizeAxis('stack', axis, first.rank + 1)
  const rows = tensors.map((x, i) => {
    if (!sameShape(x.shape, first.shape)) {
      throw shapeError(
        `stack: tensor ${i} has shape ${formatShape(x.shape)}, tensor 0 has ${formatShape(first.shape)}.`,
        'All must have the same shape.',
      )
    }
    return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)])
  })
  return concat(rows, at)
}

/** The pieces of the given sizes along one dimension; the sizes add up to that dimension's. */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const resolved = normalizeAxis('split', axis, x.rank)
  const total = sizes.reduce((n, d) => n + d, 0)
  if (total !== x.shape[resolved]) {
    throw shapeError(
      `split: sizes [${sizes}] add up to ${total}; dimension ${resolved} of ${formatShape(x.shape)} is ${x.shape[resolved]}.`,
      "Give sizes that add up to the dimension's.",
    )
  }
  let start = 0
  return sizes.map((size) => slice(x, resolved, start, (start += size)))
}

/** `parts` equal pieces along one dimension. */
export function chunk(x: Tensor, parts: number, axis: number): Tensor[] {
  const resolved = normalizeAxis('chunk', axis, x.rank)
  const size = (x.shape[resolved] as number) / parts
  if (!Number.isInteger(size)) {
    throw shapeError(
      `chunk: dimension ${resolved} of ${formatShape(x.shape)} does not divide into ${parts} equal parts.`,
      'Use split for parts of different sizes.',
    )
  }
  return split(x, new Array<number>(parts).fill(size), resolved)
}
