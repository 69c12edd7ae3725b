import type { Region } from './region.ts'

/** A dimension of a strided view: how many elements, how far apart in the storage and in the row-major result. */
interface Axis {
  readonly size: number
  readonly stride: number
  readonly step: number
}

/** Bytes of a storage that are read at once. */
const SPAN_BYTES = 2 ** 24

/** Elements of a storage that are read for one of a view at most: views that repeat elements could ask for terabytes. */
const SPARSEST = 4096

/**
 * The elements of a strided view, row-major. The storage is read in spans of at most 16 MiB, so that a small view of a
 * large storage needs little memory.
 * @param offset the first element's place in the storage
 * @param strides distances in elements, at least 0, of a view that lies within the region
 */
export async function readStrided(
  region: Region,
  elementBytes: number,
  offset: number,
  shape: readonly number[],
  strides: readonly number[],
): Promise<Uint8Array> {
  let count = 1
  const axes: Axis[] = []
  for (let i = shape.length - 1; i >= 0; i--) {
    const size = shape[i] as number
    axes.unshift({ size, stride: strides[i] as number, step: count })
    count *= size
  }
  const out = new Uint8Array(count * elementBytes)
  if (count > 0) await gather(region, elementBytes, offset, axes, out, 0)
  return out
}

const extent = ({ size, stride }: Axis) => (size - 1) * stride

/** Halves the axis that reaches farthest until what is left spans few enough bytes, and few beside its own. */
async function gather(
  region: Region,
  elementBytes: number,
  from: number,
  axes: readonly Axis[],
  out: Uint8Array,
  to: number,
): Promise<void> {
  const span = axes.reduce((reach, axis) => reach + extent(axis), 1)
  const count = axes.reduce((product, { size }) => product * size, 1)
  if (span * elementBytes <= SPAN_BYTES && span <= SPARSEST * count) {
    copy(await region.read(from * elementBytes, (from + span) * elementBytes), elementBytes, 0, axes, out, to)
    return
  }
  const far = axes.reduce((a, b) => (extent(b) > extent(a) ? b : a))
  const half = far.size >> 1
  const withSize = (size: number) => axes.map((axis) => (axis === far ? { ...axis, size } : axis))
  await gather(region, elementBytes, from, withSize(half), out, to)
  await gather(region, elementBytes, from + half * far.stride, withSize(far.size - half), out, to + half * far.step)
}

function copy(
  span: Uint8Array,
  elementBytes: number,
  from: number,
  [axis, ...inner]: readonly Axis[],
  out: Uint8Array,
  to: number,
): void {
  if (axis && inner.length > 0) {
    for (let i = 0; i < axis.size; i++) {
      copy(span, elementBytes, from + i * axis.stride, inner, out, to + i * axis.step)
    }
    return
  }
  const { size, stride } = axis ?? { size: 1, stride: 0 }
  for (let i = 0; i < size; i++) {
    const source = (from + i * stride) * elementBytes
    const target = (to + i) * elementBytes
    for (let byte = 0; byte < elementBytes; byte++) out[target + byte] = span[source + byte] as number
  }
}
