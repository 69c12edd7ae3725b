import { dataError, type Ld3mError, optionError, shapeError } from '../errors.ts'
import {
  arrayAt,
  DTYPE_NAMES,
  DTYPES,
  type Dtype,
  elementCount,
  isDtype,
  isSize,
  MAX_RANK,
  type StoredTensor,
} from './dtypes.ts'
import { findDuplicateKey, isJsonObject, jsonStructure } from './json.ts'
import { type ByteSource, readRange } from './source.ts'

/** What a safetensors file holds. */
export interface TensorFile {
  /** Tensors by name, in the order of their bytes in the file. */
  readonly tensors: Map<string, StoredTensor>
  /** The file's free-form `__metadata__`; empty if it has none. */
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Room for 300 thousand tensors. The reference implementation allows 100 MB, for which JSON.parse takes up to 6 GB and
 * 45 s if the text is hostile.
 */
const MAX_HEADER_BYTES = 2 ** 25
const METADATA_KEY = '__metadata__'

/** One tensor of the header, and its bytes within the file. */
export interface SafetensorsEntry {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly count: number
  readonly begin: number
  readonly end: number
}

/** What a safetensors file's header says. */
export interface SafetensorsHeader {
  /** In the order of their bytes, which follow each other without a gap up to the end of the file. */
  readonly entries: readonly SafetensorsEntry[]
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Reads the bytes of a safetensors file. A tensor whose bytes are aligned is a view of `bytes`, without a copy.
 * @param source names the file in error messages
 * @throws Ld3mError `data` unless every rule of the format holds: a header within the file, known dtypes, sizes
 * that are safe integers, shapes that match their bytes, and tensors that cover the data without overlap or gap
 */
export function readSafetensors(bytes: Uint8Array, source = 'the safetensors data'): TensorFile {
  const headerEnd = safetensorsHeaderEnd(bytes, bytes.length, source)
  const { entries, metadata } = parseSafetensorsHeader(bytes.subarray(8, headerEnd), bytes.length, source)
  const tensors = new Map<string, StoredTensor>()
  for (const { name, dtype, shape, count, begin } of entries) {
    tensors.set(name, { dtype, shape, data: arrayAt(bytes, begin, dtype, count) } as StoredTensor)
  }
  return { tensors, metadata }
}

/** Reads the header of a safetensors file alone, with the checks and errors of `readSafetensors`. */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { name, size } = source
  const headerEnd = safetensorsHeaderEnd(await readRange(source, 0, Math.min(8, size)), size, name)
  return parseSafetensorsHeader(await readRange(source, 8, headerEnd - 8), size, name)
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
  for (const [name, tensor] of tensors) checkTensor(name, tensor)
  const { header, names, dataBytes } = layOutSafetensors(tensors, metadata)
  const bytes = new Uint8Array(header.length + dataBytes)
  bytes.set(header)
  let at = header.length
  for (const name of names) {
    const { data } = tensors.get(name) as StoredTensor
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

/** How a safetensors file of tensors of these dtypes and shapes begins, and in which order their bytes follow. */
export interface SafetensorsLayout {
  readonly header: Uint8Array
  readonly names: readonly string[]
  readonly dataBytes: number
}

/**
 * What stands before the tensors' bytes in a safetensors file, for writing one without all of it in memory.
 * @throws Ld3mError `option` if a name or a piece of metadata cannot be stored
 */
export function layOutSafetensors(
  tensors: ReadonlyMap<string, Pick<StoredTensor, 'dtype' | 'shape'>>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout {
  const sorted = [...tensors].sort(([nameA, a], [nameB, b]) => {
    return DTYPE_NAMES.indexOf(b.dtype) - DTYPE_NAMES.indexOf(a.dtype) || (nameA < nameB ? -1 : 1)
  })
  const fields: string[] = []
  if (Object.keys(metadata).length > 0) fields.push(`"${METADATA_KEY}":${metadataJson(metadata)}`)
  let offset = 0
  for (const [name, { dtype, shape }] of sorted) {
    checkName(name)
    const end = offset + (elementCount(shape) as number) * DTYPES[dtype].BYTES_PER_ELEMENT
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`)
    offset = end
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const headerBytes = Math.ceil(json.length / 8) * 8
  const header = new Uint8Array(8 + headerBytes).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(headerBytes), true)
  header.set(json, 8)
  return { header, names: sorted.map(([name]) => name), dataBytes: offset }
}

function broken(source: string, what: string, cause?: unknown): Ld3mError {
  const fix = 'The file is damaged or not a safetensors file; fetch or write it again.'
  return dataError(`Cannot read ${source}: ${what}.`, fix, cause)
}

/** The byte after the header of a file of `size` bytes that starts with `start`. */
function safetensorsHeaderEnd(start: Uint8Array, size: number, source: string): number {
  if (size < 8) throw broken(source, `it has ${size} bytes, and 8 are needed for the header's length`)
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(size - 8)) {
    throw broken(source, `its header should have ${length} bytes, but only ${size - 8} follow`)
  }
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw broken(source, `its header has ${length} bytes, more than the ${MAX_HEADER_BYTES} that are read`)
  }
  return 8 + Number(length)
}

function parseSafetensorsHeader(bytes: Uint8Array, size: number, source: string): SafetensorsHeader {
  const header = parseJson(bytes, source)
  const dataStart = 8 + bytes.length
  let metadata: Record<string, string> = {}
  const entries: SafetensorsEntry[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) metadata = checkMetadata(value, source)
    else entries.push(parseEntry(name, value, source))
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkLayout(entries, size - dataStart, source)
  const inFile = entries.map((entry) => ({ ...entry, begin: dataStart + entry.begin, end: dataStart + entry.end }))
  return { entries: inFile, metadata }
}

function parseJson(bytes: Uint8Array, source: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw broken(source, "its header does not start with '{'")
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw broken(source, 'its header is not UTF-8', cause)
  }
  // What describes a tensor has three brackets in at least 50 characters, two deep.
  const { depth, brackets } = jsonStructure(text)
  if (depth > 3 || brackets > 4 + text.length / 16)
    throw broken(source, 'its header has brackets that describe no tensor')
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw broken(source, 'its header is not JSON', cause)
  }
  if (!isJsonObject(header)) throw broken(source, 'its header is not a JSON object')
  const duplicate = findDuplicateKey(text)
  if (duplicate !== undefined) throw broken(source, `its header holds the key ${JSON.stringify(duplicate)} twice`)
  return header
}

function checkMetadata(value: unknown, source: string): Record<string, string> {
  if (!isJsonObject(value) || !Object.values(value).every((text) => typeof text === 'string')) {
    throw broken(source, `its ${METADATA_KEY} is not an object of strings`)
  }
  return value as Record<string, string>
}

function parseEntry(name: string, value: unknown, source: string): SafetensorsEntry {
  const fail = (what: string) => broken(source, `tensor ${JSON.stringify(name)} ${what}`)
  if (/\p{Surrogate}/u.test(name)) throw fail('has a name that is not well-formed Unicode')
  if (!isJsonObject(value)) throw fail('is not described by an object')
  const { dtype, shape, data_offsets: offsets } = value
  if (!isDtype(dtype)) {
    throw fail(`has dtype ${JSON.stringify(dtype) ?? 'nowhere'}, but known are ${DTYPE_NAMES.join(', ')}`)
  }
  const count = Array.isArray(shape) && shape.length <= MAX_RANK ? elementCount(shape) : undefined
  if (count === undefined) {
    throw fail(`has a shape that is not an array of at most ${MAX_RANK} whole numbers, or too large`)
  }
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
function checkLayout(entries: readonly SafetensorsEntry[], dataBytes: number, source: string): void {
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
  const count = shape.length <= MAX_RANK ? elementCount(shape) : undefined
  if (count !== data.length) {
    throw shapeError(
      `${what} has shape [${shape.join(', ')}]${count === undefined ? '' : ` (${count} elements)`}, ` +
        `but its data has ${data.length} elements.`,
      `Give a shape of at most ${MAX_RANK} whole numbers whose product is the number of elements.`,
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
