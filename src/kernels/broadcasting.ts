import { shapeError } from '../errors.ts'
import { divisors } from './divisors.ts'

/**
 * Where the elements of a broadcast source lie, by the index into the output alone: the output's dimensions, merged
 * where the source allows, and the source's stride along each.
 */
export interface Layout {
  /** As the output, one number for all of it, or by strides. */
  readonly kind: 'dense' | 'alone' | 'strided'
  /** Sizes, outermost first; their product is the output's number of elements. */
  readonly sizes: readonly number[]
  /** In elements, 0 where the source is broadcast. */
  readonly strides: readonly number[]
}

/** Most dimensions that a kernel walks. */
export const MAX_DIMENSIONS = 4

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

/** A source that lies as the output, of `count` elements, does. */
export const dense = (count: number): Layout => ({ kind: 'dense', sizes: [count], strides: [1] })

/** The layout of a source of `shape` that is broadcast to `outShape`. */
export function layoutOf(shape: readonly number[], outShape: readonly number[]): Layout {
  const count = sizeOf(outShape)
  const own = sizeOf(shape)
  if (own === count) return dense(count)
  if (own === 1) return { kind: 'alone', sizes: [count], strides: [0] }
  const sizes: number[] = []
  const strides: number[] = []
  let stride = 1
  // From the innermost; reversed below.
  for (let i = outShape.length - 1, k = shape.length - 1; i >= 0; i--, k--) {
    const d = outShape[i] as number
    const has = k >= 0 ? (shape[k] as number) : 1
    const s = has === 1 ? 0 : stride
    stride *= has
    if (d === 1) continue
    const last = sizes.length - 1
    if (last >= 0 && s === (strides[last] as number) * (sizes[last] as number))
      sizes[last] = (sizes[last] as number) * d
    else {
      sizes.push(d)
      strides.push(s)
    }
  }
  return { kind: 'strided', sizes: sizes.reverse(), strides: strides.reverse() }
}

export const sameLayout = (a: Layout, b: Layout): boolean =>
  a.kind === b.kind && sameNumbers(a.sizes, b.sizes) && sameNumbers(a.strides, b.strides)

const sameNumbers = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((n, i) => n === b[i])

/** How many elements a source of this layout has. */
export const elementsOf = ({ sizes, strides }: Layout): number =>
  sizes.reduce((n, size, i) => (strides[i] === 0 ? n : n * size), 1)

/** Dimensions that several sources can be walked by together. */
export interface Walk {
  /** Sizes, outermost first. */
  readonly sizes: readonly number[]
  /** For each source, its stride along each. */
  readonly strides: readonly (readonly number[])[]
}

/** The walk for all of these layouts, or undefined if there is none of at most MAX_DIMENSIONS dimensions. */
export function walkOf(layouts: readonly Layout[]): Walk | undefined {
  const [first] = layouts
  if (layouts.length === 1 && first) {
    return first.sizes.length <= MAX_DIMENSIONS ? { sizes: first.sizes, strides: [first.strides] } : undefined
  }
  // A dimension of the walk begins wherever one of some layout does: at these numbers of elements.
  const ends = new Set<number>()
  for (const { sizes } of layouts) {
    let end = 1
    for (let i = sizes.length - 1; i >= 0; i--) ends.add((end *= sizes[i] as number))
  }
  if (ends.size > MAX_DIMENSIONS) return undefined
  const sizes: number[] = []
  const strides: number[][] = layouts.map(() => [])
  let start = 1
  for (const end of [...ends].sort((a, b) => a - b)) {
    // Layouts of unlike shapes, as after a reshape, may cut across each other.
    if (end % start !== 0) return undefined
    sizes.push(end / start)
    for (const [k, layout] of layouts.entries()) (strides[k] as number[]).push(strideAt(layout, start))
    start = end
  }
  return { sizes: sizes.reverse(), strides: strides.map((s) => s.reverse()) }
}

/** The stride along a part of a dimension that begins after `start` elements. */
function strideAt({ sizes, strides }: Layout, start: number): number {
  let inner = 1
  let i = sizes.length - 1
  for (; i > 0 && inner * (sizes[i] as number) <= start; i--) inner *= sizes[i] as number
  return (strides[i] as number) * (start / inner)
}

/** The same, where the layouts' shapes are broadcast together: it is an error if there is none. */
export function walkFor(layouts: readonly Layout[], shapes: readonly (readonly number[])[]): Walk {
  const walk = walkOf(layouts)
  if (walk) return walk
  throw shapeError(
    `Broadcasting ${shapes.map((s) => `[${s}]`).join(' with ')} alternates between too many dimensions; ${MAX_DIMENSIONS} are supported.`,
    'Expand one input with broadcastTo, or reshape so that fewer dimensions alternate.',
  )
}

/** Right-aligned in four, filled with `missing`. */
export const four = (numbers: readonly number[], missing: number): [number, number, number, number] =>
  [...new Array<number>(MAX_DIMENSIONS - numbers.length).fill(missing), ...numbers] as [number, number, number, number]

/** A walk's inner sizes as kernels divide by them. */
export function innerSizes(sizes: readonly number[]) {
  const [, d1, d2, d3] = four(sizes, 1)
  return divisors({ d1, d2, d3 })
}
