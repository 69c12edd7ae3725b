import { dataError, Ld3mError, shapeError } from '../errors.ts'
import { elementCount } from './dtypes.ts'
import { gunzip, isGzip } from './gzip.ts'

/** An array of unsigned bytes as an IDX file (the format of MNIST) holds it, in row-major order. */
export interface IdxArray {
  readonly shape: readonly number[]
  readonly data: Uint8Array<ArrayBuffer>
}

const UNSIGNED_BYTE = 0x08
const OTHER_TYPES: Readonly<Record<number, string>> = {
  9: 'signed bytes',
  11: '16-bit integers',
  12: '32-bit integers',
  13: '32-bit floats',
  14: '64-bit floats',
}

/**
 * Reads an IDX file of unsigned bytes, gzipped or not.
 * @param source names the file in error messages
 * @throws Ld3mError `data` if the file is truncated, too long, damaged, of another element type, or no IDX file
 */
export async function readIdx(bytes: Uint8Array, source = 'the IDX data'): Promise<IdxArray> {
  const plain = isGzip(bytes) ? await decompress(bytes, source) : bytes
  const { shape, headerBytes, totalBytes } = readHeader(plain, source)
  if (plain.length !== totalBytes) throw wrongLength(source, shape, totalBytes, `has ${plain.length}`)
  return { shape, data: new Uint8Array(plain.subarray(headerBytes)) }
}

/**
 * The bytes of an uncompressed IDX file of unsigned bytes.
 * @throws Ld3mError `shape` if `shape` has no or more than 255 dimensions, or does not fit `data`
 */
export function writeIdx({ shape, data }: IdxArray): Uint8Array<ArrayBuffer> {
  const fits = shape.length > 0 && shape.length < 256 && shape.every((size) => size < 2 ** 32)
  if (!fits || elementCount(shape) !== data.length) {
    throw shapeError(
      `An IDX array of shape [${shape.join(', ')}] cannot hold ${data.length} bytes.`,
      'Give 1 to 255 dimensions, each below 2³², whose product is the number of bytes.',
    )
  }
  const bytes = new Uint8Array(4 + 4 * shape.length + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint8(2, UNSIGNED_BYTE)
  view.setUint8(3, shape.length)
  shape.forEach((size, i) => {
    view.setUint32(4 + 4 * i, size)
  })
  bytes.set(data, 4 + 4 * shape.length)
  return bytes
}

interface Header {
  readonly shape: number[]
  readonly headerBytes: number
  readonly totalBytes: number
}

function readHeader(bytes: Uint8Array, source: string): Header {
  const foreign = (what: string) =>
    dataError(
      `Cannot read ${source} as an IDX file of unsigned bytes: ${what}.`,
      'Expected the format of MNIST: 00 00 08, the number of dimensions, their sizes, then the bytes.',
    )
  if (bytes.length < 4) throw foreign(`it has ${bytes.length} bytes, fewer than the format's magic number`)
  const [zero0, zero1, type, rank] = bytes as unknown as [number, number, number, number]
  if (zero0 !== 0 || zero1 !== 0) throw foreign(`it starts with bytes ${hex(bytes.subarray(0, 4))}`)
  if (type !== UNSIGNED_BYTE) {
    const other = OTHER_TYPES[type]
    throw foreign(other ? `it holds ${other}` : `its element type ${hex(bytes.subarray(2, 3))} is unknown`)
  }
  if (rank === 0) throw foreign('it has no dimensions')
  const headerBytes = 4 + 4 * rank
  if (bytes.length < headerBytes) {
    throw foreign(`it ends after ${bytes.length} bytes, inside the sizes of its ${rank} dimensions`)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes)
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  const count = elementCount(shape)
  if (count === undefined) throw foreign(`its shape [${shape.join(', ')}] is too large`)
  return { shape, headerBytes, totalBytes: headerBytes + count }
}

async function decompress(bytes: Uint8Array, source: string): Promise<Uint8Array<ArrayBuffer>> {
  let header: Header | undefined
  try {
    return await gunzip(bytes, (total, first) => {
      // Decompressors hand out kilobytes at a time; a first chunk too short for the header is checked at the end.
      if (!header && first.length >= 4 + 4 * (first[3] ?? 0)) header = readHeader(first, source)
      if (header && total > header.totalBytes) {
        throw wrongLength(source, header.shape, header.totalBytes, 'decompresses to more')
      }
    })
  } catch (cause) {
    if (cause instanceof Ld3mError) throw cause
    throw dataError(`Cannot read ${source}: its gzip data is damaged or truncated.`, 'Fetch it again.', cause)
  }
}

function wrongLength(source: string, shape: readonly number[], expected: number, what: string): Ld3mError {
  return dataError(
    `Cannot read ${source}: its shape [${shape.join(', ')}] asks for ${expected} bytes with the header, but it ${what}.`,
    'The file is truncated or foreign; fetch it again.',
  )
}

const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
