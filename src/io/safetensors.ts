import { dataError, type Ld3mError, optionError, shapeError } from '../errors.ts'
import { DTYPE_NAMES, DTYPES, type Dtype, elementCount, isDtype, isSize, type StoredTensor } from './dtypes.ts'
import { findDuplicateKey, isJsonObject } from './json.ts'

/** What a safetensors file holds. */
export interface TensorFile {
  /** Tensors by name, in the order of their bytes in the file. */
  readonly tensors: Map<string, StoredTensor>
  /** The file's free-form `__metadata__`; empty if it has none. */
  readonly metadata: Readonly<Record<string, string>>
}

// The reference implementation's bound; it keeps a hostile length from asking for gigabytes of JSON.
const MAX_HEADER_BYTES = 100_000_000
const METADATA_KEY = '__metadata__'

interface Entry {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly count: number
  readonly begin: number
  readonly end: number
}

/**
 * Reads the bytes of a safetensors file. A tensor whose bytes are aligned is a view of `bytes`, without a copy.
 * @param source names the file in error messages
 * @throws Ld3mError `data` unless every rule of the format holds: a header within the file, known dtypes, sizes
 * that are safe integers, shapes that match their bytes, and tensors that cover the data without overlap or gap
 */
export function readSafetensors(bytes: Uint8Array, source = 'the safetensors data'): TensorFile {
  const { text, dataStart } = readHeaderText(bytes, source)
  const { entries, metadata } = parseHeader(text, source)
  checkLayout(entries, bytes.length - dataStart, source)
  const tensors = new Map<string, StoredTensor>()
  for (const { name, dtype, shape, count, begin, end } of entries) {
    const data = arrayAt(bytes, dataStart + begin, dataStart + end, dtype, count)
    tensors.set(name, { dtype, shape, data } as StoredTensor)
  }
  return { tensors, metadata }
}

/**
 * The bytes of a safetensors file. The same tensors give the same bytes whatever the order of the map: like the
 * reference implementation, wide dtypes come first (so that every tensor is aligned), then names in order; the
 * header is padded to a multiple of 8 bytes.
 * @throws Ld3mError `shape` if a tensor's data does not fit its dtype and shape, `option` if a name or a piece of
 * metadata cannot be stored
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const sorted = [...tensors].sort(([nameA, a], [nameB, b]) => {
    return DTYPE_NAMES.indexOf(b.dtype) - DTYPE_NAMES.indexOf(a.dtype) || (nameA < nameB ? -1 : 1)
  })
  const fields: string[] = []
  if (Object.keys(metadata).length > 0) fields.push(`"${METADATA_KEY}":${metadataJson(metadata)}`)
  let offset = 0
  for (const [name, tensor] of sorted) {
    checkName(name)
    checkTensor(name, tensor)
    const { dtype, shape, data } = tensor
    const range = [offset, offset + data.byteLength]
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: range })}`)
    offset += data.byteLength
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const headerBytes = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + headerBytes + offset)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true)
  bytes.fill(0x20, 8 + json.length, 8 + headerBytes)
  bytes.set(json, 8)
  let at = 8 + headerBytes
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

function broken(source: string, what: string, cause?: unknown): Ld3mError {
  const fix = 'The file is damaged or not a safetensors file; fetch or write it again.'
  return dataError(`Cannot read ${source}: ${what}.`, fix, cause)
}

function readHeaderText(bytes: Uint8Array, source: string): { text: string; dataStart: number } {
  if (bytes.length < 8) throw broken(source, `it has ${bytes.length} bytes, and 8 are needed for the header's length`)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(bytes.length - 8)) {
    throw broken(source, `its header should have ${length} bytes, but only ${bytes.length - 8} follow`)
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw broken(source, `its header has ${length} bytes, more than the format's bound of ${MAX_HEADER_BYTES}`)
  }
  const dataStart = 8 + Number(length)
  const header = bytes.subarray(8, dataStart)
  if (header[0] !== 0x7b) throw broken(source, "its header does not start with '{'")
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(header), dataStart }
  } catch (cause) {
    throw broken(source, 'its header is not UTF-8', cause)
  }
}

function parseHeader(text: string, source: string): { entries: Entry[]; metadata: Record<string, string> } {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw broken(source, 'its header is not JSON', cause)
  }
  if (!isJsonObject(header)) throw broken(source, 'its header is not a JSON object')
  const duplicate = findDuplicateKey(text)
  if (duplicate !== undefined) throw broken(source, `its header holds the key ${JSON.stringify(duplicate)} twice`)

  let metadata: Record<string, string> = {}
  const entries: Entry[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) metadata = checkMetadata(value, source)
    else entries.push(parseEntry(name, value, source))
  }
  return { entries: entries.sort((a, b) => a.begin - b.begin || a.end - b.end), metadata }
}

function checkMetadata(value: unknown, source: string): Record<string, string> {
  if (!isJsonObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    throw broken(source, `its ${METADATA_KEY} is not an object of strings`)
  }
  return value as Record<string, string>
}

function parseEntry(name: string, value: unknown, source: string): Entry {
  const fail = (what: string) => broken(source, `tensor ${JSON.stringify(name)} ${what}`)
  if (/\p{Surrogate}/u.test(name)) throw fail('has a name that is not well-formed Unicode')
  if (!isJsonObject(value)) throw fail('is not described by an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (!isDtype(dtype)) {
    throw fail(`has dtype ${JSON.stringify(dtype) ?? 'nowhere'}, but known are ${DTYPE_NAMES.join(', ')}`)
  }
  const count = Array.isArray(shape) ? elementCount(shape) : undefined
  if (count === undefined) throw fail('has a shape that is not an array of whole numbers, or too large')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    throw fail('has data_offsets that are not two whole numbers')
  }
  const [begin, end] = offsets as [number, number]
  const expected = count * DTYPES[dtype].BYTES_PER_ELEMENT
  if (end - begin !== expected) {
    const spelled = (shape as number[]).join(', ')
    throw fail(
      `of ${dtype} [${spelled}] needs ${expected} bytes, but data_offsets [${begin}, ${end}] hold ${end - begin}`,
    )
  }
  return { name, dtype, shape: shape as number[], count, begin, end }
}

/** Entries come in order of their offsets; together they must cover the data exactly once. */
function checkLayout(entries: readonly Entry[], dataBytes: number, source: string): void {
  let covered = 0
  for (const { name, begin, end } of entries) {
    const where = `tensor ${JSON.stringify(name)} at bytes ${begin} to ${end}`
    if (begin < covered) throw broken(source, `${where} overlaps the tensor before it, which ends at ${covered}`)
    if (begin > covered) throw broken(source, `${where} leaves a gap after byte ${covered}`)
    if (end > dataBytes) throw broken(source, `${where} reaches beyond the ${dataBytes} bytes of data`)
    covered = end
  }
  if (covered !== dataBytes) {
    throw broken(source, `its tensors end at byte ${covered}, but ${dataBytes} bytes of data follow the header`)
  }
}

function arrayAt(bytes: Uint8Array, begin: number, end: number, dtype: Dtype, count: number): StoredTensor['data'] {
  const TypedArray = DTYPES[dtype]
  const absolute = bytes.byteOffset + begin
  if (absolute % TypedArray.BYTES_PER_ELEMENT === 0) return new TypedArray(bytes.buffer, absolute, count)
  const copy = new Uint8Array(end - begin)
  copy.set(bytes.subarray(begin, end))
  return new TypedArray(copy.buffer, 0, count)
}

function checkName(name: string): void {
  if (name === METADATA_KEY || /\p{Surrogate}/u.test(name)) {
    throw optionError(
      `A tensor cannot be named ${JSON.stringify(name)}.`,
      `Use any well-formed Unicode name but ${METADATA_KEY}, which the format reserves.`,
    )
  }
}

function checkTensor(name: string, { dtype, shape, data }: StoredTensor): void {
  const what = `Tensor ${JSON.stringify(name)}`
  if (!isDtype(dtype)) {
    throw shapeError(`${what} has the unknown dtype ${JSON.stringify(dtype)}.`, `Use one of ${DTYPE_NAMES.join(', ')}.`)
  }
  if (data[Symbol.toStringTag] !== DTYPES[dtype].name) {
    throw shapeError(
      `${what} of dtype ${dtype} holds a ${data[Symbol.toStringTag]}; expected a ${DTYPES[dtype].name}.`,
      'Convert the data or name the dtype it has.',
    )
  }
  const count = elementCount(shape)
  if (count !== data.length) {
    throw shapeError(
      `${what} has shape [${shape.join(', ')}]${count === undefined ? '' : ` (${count} elements)`}, ` +
        `but its data has ${data.length} elements.`,
      'Give a shape of whole numbers whose product is the number of elements.',
    )
  }
}

function metadataJson(metadata: Readonly<Record<string, string>>): string {
  const fields = Object.keys(metadata).sort()
  for (const key of fields) {
    const value: unknown = metadata[key]
    if (typeof value !== 'string') {
      throw optionError(
        `Metadata ${JSON.stringify(key)} is a ${value === null ? 'null' : typeof value}; safetensors holds strings.`,
        'Pass JSON.stringify(value).',
      )
    }
  }
  return `{${fields.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`).join(',')}}`
}
