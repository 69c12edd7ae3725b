import { shapeError } from '../../errors.ts'
import { expectList } from '../arguments.ts'
import { Node } from '../node.ts'
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts'
import { isRecording, Tensor } from '../tensor.ts'

/**
 * The same elements, in the same order and memory, under another shape. One size may be -1: it follows from the rest.
 * Not an op record: it launches nothing, and its gradient is itself.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const before = x.shape
  const resolved = resolve(x, shape)
  if (sameShape(resolved, x.shape)) return x.alias()
  const record = isRecording() && x.node !== undefined
  const node = record ? new Node('reshape', [x.node], [], (_, { grad }) => [reshape(grad, before)]) : undefined
  return new Tensor(x.storage.retain(), resolved, x.dtype, node, x.cut)
}

function resolve(x: Tensor, shape: Shape): Shape {
  expectList('reshape', 'shape', shape)
  const unknown = shape.indexOf(-1)
  const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1)
  const resolved = unknown < 0 ? shape : shape.map((d, i) => (i === unknown ? x.size / known : d))
  if (sizeOf(resolved) !== x.size || resolved.some((d) => !Number.isInteger(d) || d < 0)) {
    throw shapeError(
      `reshape: ${formatShape(x.shape)} (${x.size} elements) does not fit ${formatShape(shape)}.`,
      'The number of elements must stay the same; at most one size may be -1.',
    )
  }
  return resolved
}
