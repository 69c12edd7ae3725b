import { formatValue, shapeError } from '../errors.ts'

/** Sizes of a tensor's dimensions, outermost first; `[]` is a scalar. */
export type Shape = readonly number[]

/**
 * Element types: `f32` for numbers, `i32` for class labels and indices; `f16` for frozen weights and saved activations,
 * which products read (docs/performance.md tells which ops). Gradients are f32.
 */
export type DType = 'f32' | 'i32' | 'f16'

/** Bytes of `count` elements, padded to whole words. */
export const bytesOf = (count: number, dtype: DType): number =>
  Math.max(4, dtype === 'f16' ? Math.ceil(count / 2) * 4 : count * 4)

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1)

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i])

export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`

/** Throws unless `shape` is one. */
export function checkShape(where: string, shape: Shape): void {
  if (Array.isArray(shape) && shape.every((d) => Number.isSafeInteger(d) && d >= 0)) return
  const shown = Array.isArray(shape) ? formatShape(shape) : formatValue(shape)
  throw shapeError(`${where}: ${shown} is not a shape.`, 'Pass an array of integers ≥ 0.')
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = stride
    stride *= shape[i] as number
  }
  return strides
}

/** The shape of an elementwise result, by NumPy's broadcasting rules. */
export function broadcastShapes(name: string, ...shapes: readonly Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length))
  const out = new Array<number>(rank).fill(1)
  for (const shape of shapes) {
    for (let i = 0; i < shape.length; i++) {
      const j = rank - shape.length + i
      const d = shape[i] as number
      if (d === 1) continue
      if (out[j] !== 1 && out[j] !== d) {
        throw shapeError(
          `${name}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast together.`,
          'Aligned from the last dimension, sizes must be equal or 1.',
        )
      }
      out[j] = d
    }
  }
  return out
}

/** Throws unless `shape` has the rank of `pattern` and its sizes where `pattern` gives numbers. */
export function expectShape(where: string, shape: Shape, pattern: readonly (number | string)[]): void {
  const fits = shape.length === pattern.length && pattern.every((p, i) => typeof p === 'string' || p === shape[i])
  if (!fits) {
    throw shapeError(
      `${where}: expected shape [${pattern.join(', ')}], got ${formatShape(shape)}.`,
      'Check the argument.',
    )
  }
}

/** A dimension index in 0…rank-1 from one that may count from the end. */
export function normalizeAxis(where: string, axis: number, rank: number): number {
  const result = axis < 0 ? axis + rank : axis
  if (!Number.isInteger(axis) || result < 0 || result >= rank) {
    throw shapeError(`${where}: axis ${axis} is out of range for ${rank} dimensions.`, `Use ${-rank} to ${rank - 1}.`)
  }
  return result
}
