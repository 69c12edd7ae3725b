import elementwiseSource from '../../wgsl/elementwise.wgsl'
import fillSource from '../../wgsl/fill.wgsl'
import selectSource from '../../wgsl/select.wgsl'
import { type Constants, type Device, defineKernel, type GpuBuffer, loopGrid, type Variant } from '../gpu/index.ts'
import {
  dense,
  elementsOf,
  four,
  innerSizes,
  type Layout,
  layoutOf,
  type Walk,
  walkFor,
  walkOf,
} from './broadcasting.ts'

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

/** Functions with scalars p, or p and q. */
const SCALARS: Partial<Record<UnaryFunction | BinaryFunction, 1 | 2>> = { AFFINE: 2, CLAMP: 2, POW: 1, CLAMP_GRAD: 2 }

/** One function applied to values: source k is k, the result of step t is −1 − t. */
export interface Step {
  readonly f: UnaryFunction | BinaryFunction
  readonly x: number
  /** x again for a function of one value. */
  readonly y: number
  readonly p: number
  readonly q: number
}

/** A straight-line program over sources; its result is the last step's, or the only source if there is none. */
export interface Program {
  /** Elements of the output. */
  readonly count: number
  readonly layouts: readonly Layout[]
  readonly steps: readonly Step[]
}

/** With the output, one binding less than every adapter has. */
const MAX_SOURCES = 6
/** Each chain is a pipeline to compile, and longer ones are rarely met twice. */
const MAX_STEPS = 8
/** Params that hold strides and scalars. */
const MAX_WORDS = 12

const isStrided = ({ kind }: Layout) => kind === 'strided'
const scalarsOf = (steps: readonly Step[]) => steps.reduce((n, { f }) => n + (SCALARS[f] ?? 0), 0)

/** Whether one launch can run the program. */
export function fits({ layouts, steps }: Program): boolean {
  if (layouts.length > MAX_SOURCES || steps.length > MAX_STEPS) return false
  const words = scalarsOf(steps)
  const strided = layouts.filter(isStrided)
  if (strided.length === 0) return words <= MAX_WORDS
  const walk = walkOf(strided)
  return walk !== undefined && words + strided.length * walk.sizes.length <= MAX_WORDS
}

/** The whole elements that one load takes, and the walk in units of them. */
interface Lanes {
  readonly width: 1 | 4
  readonly sizes: readonly number[]
  readonly strides: readonly (readonly number[])[]
}

/** Four neighbours at a time where they lie together in every source, or are one number. */
function lanesOf(count: number, walk: Walk): Lanes {
  const { sizes, strides } = walk
  const inner = sizes.length - 1
  const together = (s: readonly number[]) => s[inner] === 1 && s.every((stride, i) => i === inner || stride % 4 === 0)
  const four =
    count % 4 === 0 &&
    (sizes.length === 0 || (sizes[inner] as number) % 4 === 0) &&
    strides.every((s) => s[inner] === 0 || together(s))
  if (!four) return { width: 1, ...walk }
  return {
    width: 4,
    sizes: sizes.map((size, i) => (i === inner ? size / 4 : size)),
    strides: strides.map((s) => (s[inner] === 0 ? s : s.map((stride, i) => (i === inner ? 1 : stride / 4)))),
  }
}

/** Where no source is strided. */
const NO_WALK: Walk = { sizes: [], strides: [] }
const NO_SIZES = { SHIFT: false, sizes: { d1: 1, d2: 1, d3: 1 } }
const variants = new Map<string, Variant>()
const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** out = the program's result, of one buffer for each of its layouts. */
export function elementwise(device: Device, program: Program, sources: readonly GpuBuffer[]): GpuBuffer {
  const { count, layouts, steps } = program
  const strided = layouts.filter(isStrided)
  const walk = strided.length > 0 ? walkOf(strided) : NO_WALK
  if (!walk) throw new Error('elementwise: the program does not fit one launch')
  const out = device.alloc(Math.max(4, count * 4))
  const lanes = lanesOf(count, walk)
  const { SHIFT, sizes } = strided.length > 0 ? innerSizes(lanes.sizes) : NO_SIZES
  const words: number[] = lanes.strides.flat()
  for (const { f, p, q } of steps) {
    const scalars = SCALARS[f] ?? 0
    for (let k = 0; k < scalars; k++) {
      float[0] = k === 0 ? p : q
      words.push(bits[0] as number)
    }
  }
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0, w4 = 0, w5 = 0, w6 = 0, w7 = 0, w8 = 0, w9 = 0, w10 = 0, w11 = 0] = words
  const elements = count / lanes.width
  const params = { count: elements, ...sizes, w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11 }
  let bytes = count
  for (const layout of layouts) bytes += elementsOf(layout)
  const variant = variantOf(program, lanes, SHIFT)
  const work = { flops: count * steps.length, bytes: 4 * bytes }
  device.dispatch(variant, [...sources, out], params, loopGrid(device, elements, 64), work)
  return out
}

function variantOf({ layouts, steps }: Program, lanes: Lanes, shift: boolean): Variant {
  let key = `${lanes.width}${lanes.sizes.length}${shift ? 's' : 'd'}`
  let place = 0
  for (const { kind } of layouts) {
    key += kind === 'strided' ? (lanes.strides[place++]?.at(-1) === 0 ? 'r' : 't') : kind === 'dense' ? 'd' : 'a'
  }
  for (const { f, x, y } of steps) key += `,${f}${x}_${y}`
  let variant = variants.get(key)
  if (!variant) {
    variant = elementwiseKernel.variant(constantsOf({ layouts, steps }, lanes, shift), labelOf(steps))
    variants.set(key, variant)
  }
  return variant
}

const lower = (f: string) => f.toLowerCase()

/** What a chain is called in profiles: its functions, in order. */
const labelOf = (steps: readonly Step[]) =>
  steps.length === 0 ? 'broadcast' : steps.map(({ f }) => lower(f)).join('·')

function constantsOf({ layouts, steps }: Pick<Program, 'layouts' | 'steps'>, lanes: Lanes, shift: boolean): Constants {
  const rank = lanes.sizes.length
  const constants: Record<string, number | boolean | string> = {
    SOURCES: layouts.length,
    STEPS: steps.length,
    RANK: rank,
    SHIFT: shift,
    RESULT: steps.length > 0 ? `v${steps.length - 1}` : 's0',
    ...(lanes.width === 4 ? { V: 'vec4f', WIDTH: 4 } : {}),
  }
  let place = 0
  let word = 0
  for (const [k, { kind }] of layouts.entries()) {
    constants[`PLACE${k}`] = kind
    if (kind === 'dense') continue
    // One number for all lanes.
    const alone = kind === 'alone' || lanes.strides[place]?.at(-1) === 0
    constants[`E${k}`] = alone ? 'f32' : 'V'
    if (kind === 'alone') continue
    place++
    for (const dimension of ['A', 'B', 'C', 'D'].slice(4 - rank)) constants[`${dimension}${k}`] = `w${word++}`
  }
  const value = (v: number) => (v < 0 ? `v${-1 - v}` : `s${v}`)
  for (const [t, { f, x, y }] of steps.entries()) {
    constants[`F${t}`] = lower(f)
    constants[`X${t}`] = value(x)
    constants[`Y${t}`] = value(y)
    const scalars = SCALARS[f] ?? 0
    if (scalars > 0) constants[`P${t}`] = `w${word++}`
    if (scalars > 1) constants[`Q${t}`] = `w${word++}`
  }
  return constants
}

const sizeOf = (shape: readonly number[]) => shape.reduce((n, d) => n * d, 1)

/** out[i] = f(a[i]): `count` elements. */
export const unary = (device: Device, f: UnaryFunction, a: GpuBuffer, count: number, p = 0, q = 0): GpuBuffer =>
  elementwise(device, { count, layouts: [dense(count)], steps: [{ f, x: 0, y: 0, p, q }] }, [a])

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
  const layouts = [layoutOf(aShape, outShape), layoutOf(bShape, outShape)]
  walkFor(layouts, [aShape, bShape])
  return elementwise(device, { count: sizeOf(outShape), layouts, steps: [{ f, x: 0, y: 1, p, q }] }, [a, b])
}

/** out = a, repeated along broadcast dimensions to `outShape`. */
export function broadcast(
  device: Device,
  a: GpuBuffer,
  aShape: readonly number[],
  outShape: readonly number[],
): GpuBuffer {
  const layouts = [layoutOf(aShape, outShape)]
  walkFor(layouts, [aShape])
  return elementwise(device, { count: sizeOf(outShape), layouts, steps: [] }, [a])
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
  const shapes = [conditionShape, aShape, bShape]
  const walk = walkFor(
    shapes.map((shape) => layoutOf(shape, outShape)),
    shapes,
  )
  const out = device.alloc(Math.max(4, count * 4))
  const { SHIFT, sizes } = innerSizes(walk.sizes)
  const [c, yes, no] = walk.strides.map((strides) => four(strides, 0)) as [Four, Four, Four]
  const [c0, c1, c2, c3] = c
  const [a0, a1, a2, a3] = yes
  const [b0, b1, b2, b3] = no
  const params = { count, ...sizes, c0, c1, c2, c3, a0, a1, a2, a3, b0, b1, b2, b3 }
  const work = { flops: 0, bytes: count * 16 }
  const variant = selectKernel.variant({ RANK: walk.sizes.length <= 2 ? 2 : 4, SHIFT })
  device.dispatch(variant, [condition, a, b, out], params, loopGrid(device, count, 64), work)
  return out
}

type Four = [number, number, number, number]

/** `count` copies of a value. */
export function fill(device: Device, count: number, value: number): GpuBuffer {
  const out = device.alloc(Math.max(4, count * 4))
  const work = { flops: 0, bytes: count * 4 }
  device.dispatch(fillKernel.variant(), [out], { count, value }, loopGrid(device, count, 64), work)
  return out
}
