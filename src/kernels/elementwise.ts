import elementwiseSource from '../../wgsl/elementwise.wgsl'
import fillSource from '../../wgsl/fill.wgsl'
import selectSource from '../../wgsl/select.wgsl'
import { shapeError } from '../errors.ts'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { divisors } from './divisors.ts'

const elementwiseKernel = defineKernel('elementwise', elementwiseSource)
const selectKernel = defineKernel('select', selectSource)
const fillKernel = defineKernel('fill', fillSource)

/** Functions of one input; AFFINE is p·x + q, CLAMP limits to [p, q], POW is x^p for x > 0. */
export type UnaryFunction =
  | 'AFFINE'
  | 'EXP'
  | 'LOG'
  | 'SQRT'
  | 'RSQRT'
  | 'RECIPROCAL'
  | 'SQUARE'
  | 'ABS'
  | 'SIGN'
  | 'RELU'
  | 'SIGMOID'
  | 'TANH'
  | 'SILU'
  | 'GELU'
  | 'SIN'
  | 'COS'
  | 'CLAMP'
  | 'POW'
  | 'FLOOR'

/** Functions of two inputs. Comparisons give 1 or 0; *_GRAD are fused gradients (gradient, input or output). */
export type BinaryFunction =
  | 'ADD'
  | 'SUB'
  | 'MUL'
  | 'DIV'
  | 'MAXIMUM'
  | 'MINIMUM'
  | 'GREATER'
  | 'GREATER_EQUAL'
  | 'EQUAL'
  | 'RELU_GRAD'
  | 'SIGMOID_GRAD'
  | 'TANH_GRAD'
  | 'SILU_GRAD'
  | 'GELU_GRAD'
  | 'ABS_GRAD'
  | 'CLAMP_GRAD'

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

interface Coalesced {
  /** Sizes, outermost first, exactly four. */
  dims: number[]
  /** For each input: strides in elements, exactly four, 0 where it is broadcast. */
  strides: number[][]
  /** True if every input has the output's elements in order. */
  dense: boolean
}

/** What a kernel that indexes with `broadcast_index` needs besides the strides. */
function indexing({ dims }: Coalesced) {
  const [, d1, d2, d3] = dims as [number, number, number, number]
  const { SHIFT, sizes } = divisors({ d1, d2, d3 })
  return { constants: { RANK: dims[0] === 1 && d1 === 1 ? 2 : 4, SHIFT }, sizes }
}

/** Merges dimensions that lie together in every input, so that at most four are left. */
export function coalesce(outShape: readonly number[], inShapes: readonly (readonly number[])[]): Coalesced {
  const dims: number[] = []
  const strides: number[][] = inShapes.map(() => [])
  const rank = outShape.length
  const full = inShapes.map((shape) => {
    const result = new Array<number>(rank).fill(0)
    let stride = 1
    for (let i = shape.length - 1; i >= 0; i--) {
      const d = shape[i] as number
      if (d !== 1) result[rank - shape.length + i] = stride
      stride *= d
    }
    return result
  })
  for (let i = 0; i < rank; i++) {
    const d = outShape[i] as number
    if (d === 1) continue
    const last = dims.length - 1
    const joins = last >= 0 && full.every((s, k) => (strides[k] as number[])[last] === (s[i] as number) * d)
    if (joins) {
      dims[last] = (dims[last] as number) * d
      for (const [k, s] of full.entries()) (strides[k] as number[])[last] = s[i] as number
    } else {
      dims.push(d)
      for (const [k, s] of full.entries()) (strides[k] as number[]).push(s[i] as number)
    }
  }
  if (dims.length > 4) {
    throw shapeError(
      `Broadcasting ${inShapes.map((s) => `[${s}]`).join(' with ')} needs ${dims.length} separate dimensions; 4 are supported.`,
      'Expand one input with broadcastTo, or reshape so that fewer dimensions alternate.',
    )
  }
  const count = sizeOf(outShape)
  const dense = inShapes.every((s) => sizeOf(s) === count)
  const missing = 4 - dims.length
  return {
    dims: [...new Array<number>(missing).fill(1), ...dims],
    strides: strides.map((s) => [...new Array<number>(missing).fill(0), ...s]),
    dense,
  }
}

/** out[i] = f(a[i]): `count` elements. */
export function unary(device: Device, f: UnaryFunction, a: GpuBuffer, count: number, p = 0, q = 0): GpuBuffer {
  const out = device.alloc(Math.max(4, count * 4))
  const params = { count, d1: 1, d2: 1, d3: 1, a0: 0, a1: 0, a2: 0, a3: 0, b0: 0, b1: 0, b2: 0, b3: 0, p, q }
  const variant = elementwiseKernel.variant({ OP: f, BINARY: false, DENSE: true })
  device.dispatch(variant, [a, a, out], params, loopGrid(device, count, 64), { flops: count, bytes: count * 8 })
  return out
}

/** out = f(a, b) with broadcasting to `outShape`. */
export function binary(
  device: Device,
  f: BinaryFunction,
  a: GpuBuffer,
  aShape: readonly number[],
  b: GpuBuffer,
  bShape: readonly number[],
  outShape: readonly number[],
  p = 0,
  q = 0,
): GpuBuffer {
  const count = sizeOf(outShape)
  const out = device.alloc(Math.max(4, count * 4))
  const layout = coalesce(outShape, [aShape, bShape])
  const { dense, strides } = layout
  const { constants, sizes } = indexing(layout)
  const [a0, a1, a2, a3] = strides[0] as [number, number, number, number]
  const [b0, b1, b2, b3] = strides[1] as [number, number, number, number]
  const variant = elementwiseKernel.variant({ OP: f, BINARY: true, DENSE: dense, ...(dense ? {} : constants) })
  const bytes = 4 * (count + sizeOf(aShape) + sizeOf(bShape))
  const params = { count, ...sizes, a0, a1, a2, a3, b0, b1, b2, b3, p, q }
  device.dispatch(variant, [a, b, out], params, loopGrid(device, count, 64), { flops: count, bytes })
  return out
}

/** out = condition ≠ 0 ? a : b with broadcasting to `outShape`. */
export function select(
  device: Device,
  condition: GpuBuffer,
  conditionShape: readonly number[],
  a: GpuBuffer,
  aShape: readonly number[],
  b: GpuBuffer,
  bShape: readonly number[],
  outShape: readonly number[],
): GpuBuffer {
  const count = sizeOf(outShape)
  const out = device.alloc(Math.max(4, count * 4))
  const layout = coalesce(outShape, [conditionShape, aShape, bShape])
  const { strides } = layout
  const { constants, sizes } = indexing(layout)
  const [c0, c1, c2, c3] = strides[0] as [number, number, number, number]
  const [a0, a1, a2, a3] = strides[1] as [number, number, number, number]
  const [b0, b1, b2, b3] = strides[2] as [number, number, number, number]
  const params = { count, ...sizes, c0, c1, c2, c3, a0, a1, a2, a3, b0, b1, b2, b3 }
  const work = { flops: 0, bytes: count * 16 }
  const variant = selectKernel.variant(constants)
  device.dispatch(variant, [condition, a, b, out], params, loopGrid(device, count, 64), work)
  return out
}

/** `count` copies of a value. */
export function fill(device: Device, count: number, value: number): GpuBuffer {
  const out = device.alloc(Math.max(4, count * 4))
  const work = { flops: 0, bytes: count * 4 }
  device.dispatch(fillKernel.variant(), [out], { count, value }, loopGrid(device, count, 64), work)
  return out
}

/** out = a, repeated along broadcast dimensions to `outShape`. */
export function broadcast(
  device: Device,
  a: GpuBuffer,
  aShape: readonly number[],
  outShape: readonly number[],
): GpuBuffer {
  const count = sizeOf(outShape)
  const out = device.alloc(Math.max(4, count * 4))
  const layout = coalesce(outShape, [aShape])
  const { strides } = layout
  const { constants, sizes } = indexing(layout)
  const [a0, a1, a2, a3] = strides[0] as [number, number, number, number]
  const params = { count, ...sizes, a0, a1, a2, a3, b0: 0, b1: 0, b2: 0, b3: 0, p: 1, q: 0 }
  const variant = elementwiseKernel.variant({ OP: 'AFFINE', BINARY: false, DENSE: false, ...constants })
  device.dispatch(variant, [a, a, out], params, loopGrid(device, count, 64), {
    flops: 0,
    bytes: 4 * (count + sizeOf(aShape)),
  })
  return out
}
