import layoutSource from '../../wgsl/layout.wgsl'
import concatSource from '../../wgsl/layout_concat.wgsl'
import padSource from '../../wgsl/layout_pad.wgsl'
import { shapeError } from '../errors.ts'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { divisors } from './divisors.ts'

const layoutKernel = defineKernel('layout', layoutSource)
const padKernel = defineKernel('layout_pad', padSource)
const concatKernel = defineKernel('layout_concat', concatSource)

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

/**
 * A dense row-major array of `shape` whose element at coordinates c is x[base + Σ c·stride]. Strides are in elements of
 * x, one a dimension, and may be negative. FLOPs: none; bytes: twice the output.
 */
export function stridedCopy(
  device: Device,
  x: GpuBuffer,
  shape: readonly number[],
  strides: readonly number[],
  base: number,
): GpuBuffer {
  const count = sizeOf(shape)
  const out = device.alloc(Math.max(4, count * 4))
  const dims: number[] = []
  const steps: number[] = []
  shape.forEach((d, i) => {
    if (d === 1) return
    const step = strides[i] as number
    const last = dims.length - 1
    if (last >= 0 && steps[last] === step * d) {
      dims[last] = (dims[last] as number) * d
      steps[last] = step
    } else {
      dims.push(d)
      steps.push(step)
    }
  })
  if (dims.length > 6) {
    throw shapeError(
      `A copy of shape [${shape}] needs ${dims.length} separate dimensions; 6 are supported.`,
      'Do it in two steps, or reshape so that fewer dimensions are taken apart.',
    )
  }
  const missing = 6 - dims.length
  const [, d1, d2, d3, d4, d5] = [...new Array<number>(missing).fill(1), ...dims] as Six
  const [s0, s1, s2, s3, s4, s5] = [...new Array<number>(missing).fill(0), ...steps] as Six
  const { SHIFT, sizes } = divisors({ d1, d2, d3, d4, d5 })
  const variant = layoutKernel.variant({ RANK: dims.length <= 2 ? 2 : dims.length <= 4 ? 4 : 6, SHIFT })
  const params = { count, base, ...sizes, s0, s1, s2, s3, s4, s5 }
  device.dispatch(variant, [x, out], params, loopGrid(device, count, 64), { flops: 0, bytes: count * 8 })
  return out
}

type Six = [number, number, number, number, number, number]
type Four = [number, number, number, number]

/** Elements put before and after a dimension; negative ones are cropped. */
export type Padding = readonly [before: number, after: number]

/** Where padded dimensions are merged at most this many at once: three, and what lies outside of them. */
const PADDED_AT_ONCE = 3

/**
 * x padded by `value` (its bits), or cropped. One launch for up to three padded dimensions, and for any array of up to
 * four dimensions. FLOPs: none; bytes: the input and the output.
 */
export function pad(
  device: Device,
  x: GpuBuffer,
  shape: readonly number[],
  padding: readonly Padding[],
  valueBits: number,
): GpuBuffer {
  let before: number[] = []
  let inner: number[] = []
  let outer: number[] = []
  shape.forEach((n, i) => {
    const [b, a] = padding[i] as Padding
    const last = inner.length - 1
    // An unpadded dimension moves as one with the dimension outside of it.
    if (last >= 0 && a === 0 && b === 0) {
      inner[last] = (inner[last] as number) * n
      outer[last] = (outer[last] as number) * n
      before[last] = (before[last] as number) * n
    } else {
      inner.push(n)
      outer.push(n + a + b)
      before.push(b)
    }
  })
  if (inner.length > 4) {
    const padded = shape.flatMap((_, i) => ((padding[i] as Padding).some((p) => p !== 0) ? [i] : []))
    const first = padded.slice(0, PADDED_AT_ONCE)
    const now = padding.map((p, i): Padding => (first.includes(i) ? p : [0, 0]))
    const later = padding.map((p, i): Padding => (first.includes(i) ? [0, 0] : p))
    const between = pad(device, x, shape, now, valueBits)
    const shapeBetween = shape.map((n, i) => n + (now[i] as Padding)[0] + (now[i] as Padding)[1])
    const result = pad(device, between, shapeBetween, later, valueBits)
    device.release(between)
    return result
  }
  const missing = 4 - inner.length
  inner = [...new Array<number>(missing).fill(1), ...inner]
  outer = [...new Array<number>(missing).fill(1), ...outer]
  before = [...new Array<number>(missing).fill(0), ...before]
  const count = sizeOf(outer)
  const out = device.alloc(Math.max(4, count * 4))
  const [, d1, d2, d3] = outer as Four
  const [n0, n1, n2, n3] = inner as Four
  const [b0, b1, b2, b3] = before as Four
  const { SHIFT, sizes } = divisors({ d1, d2, d3 })
  const params = { count, value: valueBits, ...sizes, n0, n1, n2, n3, b0, b1, b2, b3 }
  const work = { flops: 0, bytes: 4 * (count + Math.min(count, sizeOf(inner))) }
  device.dispatch(padKernel.variant({ SHIFT }), [x, out], params, loopGrid(device, count, 64), work)
  return out
}

/** An input of `concat`: seen as [outer, segment], with the joined dimension and all inner ones in `segment`. */
export interface Part {
  readonly buffer: GpuBuffer
  readonly segment: number
}

/** The rows of all parts beside each other: [outer, Σ segment]. One launch for every four parts. */
export function concat(device: Device, parts: readonly Part[], outer: number): GpuBuffer {
  const segment = parts.reduce((n, p) => n + p.segment, 0)
  const out = device.alloc(Math.max(4, outer * segment * 4))
  let offset = 0
  for (let start = 0; start < parts.length; start += 4) {
    const group = parts.slice(start, start + 4)
    const first = group[0] as Part
    const buffers = [0, 1, 2, 3].map((k) => (group[k] ?? first).buffer)
    const ends = [0, 1, 2, 3].map((k) => group.slice(0, k + 1).reduce((n, p) => n + p.segment, 0))
    const [e1, e2, e3, joined] = ends as Four
    const count = outer * joined
    const { SHIFT, sizes } = divisors({ joined })
    const params = { count, ...sizes, segment, offset, e1, e2, e3 }
    const work = { flops: 0, bytes: count * 8 }
    device.dispatch(concatKernel.variant({ SHIFT }), [...buffers, out], params, loopGrid(device, count, 64), work)
    offset += joined
  }
  return out
}
