/** A float64 array with a shape: what reference implementations compute with. */
export interface NdArray {
  readonly shape: readonly number[]
  readonly data: Float64Array
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1)

export function ndarray(shape: readonly number[], fill: (index: number) => number): NdArray {
  return { shape, data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => fill(i)) }
}

export const map = (x: NdArray, f: (v: number) => number): NdArray => ({ shape: x.shape, data: x.data.map(f) })

/** Multi-index of a flat index. */
export function unravel(index: number, shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length)
  for (let i = shape.length - 1; i >= 0; i--) {
    const d = shape[i] as number
    out[i] = index % d
    index = Math.floor(index / d)
  }
  return out
}

/** Flat index of a multi-index. */
export const ravel = (index: readonly number[], shape: readonly number[]): number =>
  index.reduce((n, v, i) => n * (shape[i] as number) + v, 0)

/** The element of x that broadcasts to multi-index `index` of a larger shape. */
export function broadcastAt(x: NdArray, index: readonly number[]): number {
  const offset = index.length - x.shape.length
  let flat = 0
  for (let i = 0; i < x.shape.length; i++) {
    const d = x.shape[i] as number
    flat = flat * d + (d === 1 ? 0 : (index[i + offset] as number))
  }
  return x.data[flat] as number
}

/** The shape two or more arrays broadcast to. */
export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((s) => s.length))
  return Array.from({ length: rank }, (_, j) => Math.max(...shapes.map((s) => s[j - rank + s.length] ?? 1)))
}
