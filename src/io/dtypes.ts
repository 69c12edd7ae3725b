/** The typed array that holds each safetensors dtype. Types JavaScript has no array for keep their raw bits. */
export interface DtypeArrays {
  /** One byte an element, 0 or 1. */
  BOOL: Uint8Array
  U8: Uint8Array
  I8: Int8Array
  /** Raw bits. */
  F8_E5M2: Uint8Array
  /** Raw bits. */
  F8_E4M3: Uint8Array
  I16: Int16Array
  U16: Uint16Array
  /** Raw IEEE half-precision bits; `toFloat32` decodes them. */
  F16: Uint16Array
  /** Raw bfloat16 bits; `toFloat32` decodes them. */
  BF16: Uint16Array
  I32: Int32Array
  U32: Uint32Array
  F32: Float32Array
  F64: Float64Array
  I64: BigInt64Array
  U64: BigUint64Array
}

/** A dtype by its safetensors name. */
export type Dtype = keyof DtypeArrays

/** A named array as a file holds it: `data` has as many elements as `shape` says, in row-major order. */
export type StoredTensor = {
  [D in Dtype]: { readonly dtype: D; readonly shape: readonly number[]; readonly data: DtypeArrays[D] }
}[Dtype]

type ArrayConstructors = {
  [D in Dtype]: {
    new (buffer: ArrayBufferLike, byteOffset: number, length: number): DtypeArrays[D]
    readonly BYTES_PER_ELEMENT: number
    readonly name: string
  }
}

/** Constructors by dtype, in the order in which the reference implementation ranks dtypes (by alignment). */
export const DTYPES: ArrayConstructors = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  F8_E5M2: Uint8Array,
  F8_E4M3: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
}

/** Bytes of an element. */
export const dtypeBytes = (dtype: Dtype): number => DTYPES[dtype].BYTES_PER_ELEMENT

/** Every dtype name, lowest alignment first. */
export const DTYPE_NAMES = Object.keys(DTYPES) as readonly Dtype[]

export const isDtype = (name: unknown): name is Dtype => typeof name === 'string' && Object.hasOwn(DTYPES, name)

/** Dimensions of a tensor in a file at most: PyTorch's own bound. */
export const MAX_RANK = 64

/** A size that a shape or offset may have: a whole number from 0 to 2⁵³−1 (and not −0, which JSON can spell). */
export const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0)

/** Elements in `shape` (1 for a scalar's `[]`), or `undefined` if a dimension or the product is not a safe size. */
export function elementCount(shape: readonly unknown[]): number | undefined {
  let count = 1
  for (const size of shape) {
    if (!isSize(size)) return undefined
    count *= size
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}

/** `count` elements from byte `begin` on: a view of `bytes` where they are aligned, else a copy. */
export function arrayAt(bytes: Uint8Array, begin: number, dtype: Dtype, count: number): StoredTensor['data'] {
  const TypedArray = DTYPES[dtype]
  const absolute = bytes.byteOffset + begin
  if (absolute % TypedArray.BYTES_PER_ELEMENT === 0) return new TypedArray(bytes.buffer, absolute, count)
  const copy = new Uint8Array(count * TypedArray.BYTES_PER_ELEMENT)
  copy.set(bytes.subarray(begin, begin + copy.length))
  return new TypedArray(copy.buffer, 0, count)
}
