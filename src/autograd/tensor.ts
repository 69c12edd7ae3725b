import { formatValue, Ld3mError, optionError, rejectNonBooleans, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { halfToNumber, toHalfBits } from '../io/index.ts'
import { expectDevice, rejectPromise } from './arguments.ts'
import { Node } from './node.ts'
import { register, TENSOR, unregister } from './scope.ts'
import { bytesOf, checkShape, type DType, formatShape, type Shape, sizeOf } from './shape.ts'
import { Storage } from './storage.ts'

let recording = true

/** True while ops on tensors that require gradients record a graph. */
export const isRecording = (): boolean => recording

/** Runs `body`, which is synchronous, with graph recording on or off. */
export function withRecording<T>(on: boolean, body: () => T): T {
  const before = recording
  recording = on
  try {
    const result = body()
    rejectPromise('noGrad', result, 'Await outside of it.')
    return result
  } finally {
    recording = before
  }
}

/** Runs `body`, which is synchronous, without recording: nothing computed in it can be differentiated. */
export const noGrad = <T>(body: () => T): T => withRecording(false, body)

/** The op without a gradient that a tensor was computed through, from one that has a graph. */
export interface Cut {
  readonly op: string
  readonly reason: string
}

/**
 * A dense row-major array on a device. Tensors own GPU memory, which JavaScript's collector cannot see: dispose them,
 * or create them in a `scope`.
 */
export class Tensor {
  readonly [TENSOR] = true
  #node: Node | undefined
  #storage: Storage | undefined

  /** Takes over one reference to `storage`. Use `tensor(…)` to make tensors from data. */
  constructor(
    storage: Storage,
    readonly shape: Shape,
    readonly dtype: DType = 'f32',
    node?: Node,
    /** Why there is no place in the graph, for a message. */
    readonly cut?: Cut,
  ) {
    this.#storage = storage
    this.#node = node
    node?.retain()
    register(this)
  }

  get storage(): Storage {
    if (!this.#storage) {
      throw new Ld3mError(
        'graph',
        `A tensor of shape ${formatShape(this.shape)} was used after it was disposed.`,
        'Return it from the scope that made it, or keep() it.',
      )
    }
    return this.#storage
  }

  get device(): Device {
    return this.storage.device
  }

  get buffer() {
    return this.storage.buffer
  }

  /** The place in the graph, or undefined if no gradient flows here. */
  get node(): Node | undefined {
    return this.#node
  }

  get requiresGrad(): boolean {
    return this.#node !== undefined
  }

  get disposed(): boolean {
    return this.#storage === undefined
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape)
  }

  get rank(): number {
    return this.shape.length
  }

  /** Another tensor over the same memory that gradients do not flow through. */
  detach(): Tensor {
    return new Tensor(this.storage.retain(), this.shape, this.dtype)
  }

  /** Another tensor over the same memory, at the same place in the graph, with a lifetime of its own. */
  alias(): Tensor {
    return new Tensor(this.storage.retain(), this.shape, this.dtype, this.#node, this.cut)
  }

  /** Another tensor over the same memory that is a leaf: gradients can be taken with respect to it. */
  leaf(): Tensor {
    checkLeaf(this.dtype)
    return new Tensor(this.storage.retain(), this.shape, this.dtype, new Node('leaf', [], [], undefined))
  }

  /** The elements, once everything recorded so far has run. */
  async read(): Promise<Float32Array<ArrayBuffer>> {
    const bytes = await this.device.read(this.buffer, this.size * (this.dtype === 'f16' ? 2 : 4))
    if (this.dtype === 'f16') return Float32Array.from(new Uint16Array(bytes), halfToNumber)
    return this.dtype === 'f32' ? new Float32Array(bytes) : Float32Array.from(new Int32Array(bytes))
  }

  /** The only element of a tensor of one element. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw shapeError(`item() needs one element; this tensor has shape ${formatShape(this.shape)}.`, 'Use read().')
    }
    return (await this.read())[0] as number
  }

  /**
   * Replaces the elements in place, rounded where this is f16. Graphs that saved this tensor refuse their gradients from
   * now on.
   */
  write(data: Float32Array | Int32Array): void {
    checkElements('write', data, this.dtype)
    checkData(data, this.shape, this.dtype)
    this.device.upload(this.buffer, elementsOf(data, this.dtype))
  }

  /** Frees the memory, unless a graph or another tensor still needs it. Disposing twice is harmless. */
  dispose(): void {
    if (!this.#storage) return
    unregister(this)
    this.#storage.release()
    this.#storage = undefined
    this.#node?.release()
    this.#node = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Throws unless each of `list` is a tensor: callers of JavaScript may pass anything. */
export function expectTensors(where: string, list: readonly unknown[]): void {
  for (let i = 0; i < list.length; i++) {
    if (list[i] instanceof Tensor) continue
    throw optionError(
      `${where}: input ${i} is ${formatValue(list[i])}, not a tensor.`,
      'Make one with tensor(device, data).',
    )
  }
}

/** What a function of the caller's gave. Throws unless it is a tensor. */
export function expectResult(where: string, result: unknown): Tensor {
  rejectPromise(where, result, 'Pass a function that only records ops, and await outside of it.')
  if (result instanceof Tensor) return result
  throw optionError(`${where}: the function returned ${formatValue(result)}, not a tensor.`, 'Return a tensor.')
}

/** Throws unless `data` are numbers, one after the other, of the given type. */
function checkElements(where: string, data: ArrayLike<number>, dtype: DType): void {
  if (!Array.isArray(data)) {
    if (ArrayBuffer.isView(data)) return
    const fix = 'Pass a Float32Array, an Int32Array or an array of numbers.'
    throw optionError(`${where}: the data is ${formatValue(data)}.`, fix)
  }
  const expectNone = (fits: (value: unknown) => boolean, fix: string) => {
    const wrong = data.findIndex((value) => !fits(value))
    if (wrong >= 0) throw optionError(`${where}: element ${wrong} of the data is ${formatValue(data[wrong])}.`, fix)
  }
  const flat = 'Pass one flat list of numbers, row-major, and its shape as an option.'
  expectNone((value) => typeof value === 'number', flat)
  const integers = 'Elements of i32 are integers from -2147483648 to 2147483647.'
  if (dtype === 'i32') expectNone((value) => value === ((value as number) | 0), integers)
}

function checkData(data: ArrayLike<number>, shape: Shape, dtype: DType): void {
  if (data.length !== sizeOf(shape)) {
    throw shapeError(
      `Shape ${formatShape(shape)} has ${sizeOf(shape)} elements; the data has ${data.length}.`,
      'Give one number an element, row-major.',
    )
  }
  if (dtype === 'i32' ? data instanceof Float32Array : data instanceof Int32Array) {
    throw shapeError(`The data is a ${data.constructor.name}; the tensor is ${dtype}.`, 'Convert it first.')
  }
}

function checkLeaf(dtype: DType): void {
  if (dtype === 'f32') return
  const fix = dtype === 'f16' ? 'Make the leaf in f32, and give ops its toHalf.' : 'Only f32 has gradients.'
  throw shapeError(`A leaf must be f32; this is ${dtype}.`, fix)
}

const DTYPES: readonly DType[] = ['f32', 'i32', 'f16']

/**
 * Throws unless tensors of that type can be on the device.
 * @throws Ld3mError `adapter` for f16 where the adapter has no half precision; `option` for what is no type
 */
export function checkDType(device: Device, dtype: DType): void {
  if (!DTYPES.includes(dtype)) {
    throw optionError(`The dtype of a tensor is ${formatValue(dtype)}.`, `Use one of ${DTYPES.join(', ')}.`)
  }
  if (dtype !== 'f16' || device.info.features.has('shader-f16')) return
  throw new Ld3mError(
    'adapter',
    `f16 tensors need half precision (shader-f16), which this adapter lacks: ${device.info.description}.`,
    'Use f32, or another adapter.',
  )
}

/** What is uploaded for the given data. */
function elementsOf(data: Float32Array | Int32Array | readonly number[], dtype: DType): ArrayBufferView {
  if (dtype === 'i32') return data instanceof Int32Array ? data : Int32Array.from(data)
  const floats = data instanceof Float32Array ? data : Float32Array.from(data)
  return dtype === 'f16' ? toHalfBits(floats) : floats
}

export interface TensorOptions {
  /** Row-major; default: one dimension of the data's length. */
  shape?: Shape
  /** Default `f32`, or `i32` for an Int32Array. With `f16`, elements are rounded to the nearest, at most ±65,504. */
  dtype?: DType
  /** Make it a leaf that gradients can be taken with respect to. Default false. */
  requiresGrad?: boolean
}

/**
 * A tensor with the given elements.
 * @throws Ld3mError `shape` if data, shape and type do not fit; `option` if the data are no numbers, as nested lists are
 * not, or no integers for i32; `adapter` for f16 where the adapter has none; `numeric` for f16 of NaN or infinity
 */
export function tensor(
  device: Device,
  data: Float32Array | Int32Array | readonly number[],
  options: TensorOptions = {},
): Tensor {
  expectDevice('tensor', device)
  rejectUnknownOptions('tensor', options, ['shape', 'dtype', 'requiresGrad'])
  rejectNonBooleans('tensor', { requiresGrad: options.requiresGrad })
  const dtype = options.dtype ?? (data instanceof Int32Array ? 'i32' : 'f32')
  checkElements('tensor', data, dtype)
  const shape = options.shape ?? [data.length]
  checkShape('tensor', shape)
  checkData(data, shape, dtype)
  checkDType(device, dtype)
  if (options.requiresGrad) checkLeaf(dtype)
  const elements = elementsOf(data, dtype)
  const buffer = device.alloc(bytesOf(data.length, dtype))
  device.upload(buffer, elements)
  const node = options.requiresGrad ? new Node('leaf', [], [], undefined) : undefined
  return new Tensor(new Storage(device, buffer), shape, dtype, node)
}

/**
 * Zeros.
 * @throws Ld3mError `shape` if `shape` is not one; `adapter` for f16 where the adapter has none
 */
export function zeros(device: Device, shape: Shape, dtype: DType = 'f32'): Tensor {
  expectDevice('zeros', device)
  checkShape('zeros', shape)
  checkDType(device, dtype)
  const bytes = bytesOf(sizeOf(shape), dtype)
  const buffer = device.alloc(bytes)
  device.clear(buffer, bytes)
  return new Tensor(new Storage(device, buffer), shape, dtype)
}
