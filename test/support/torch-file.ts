import crc32 from 'crc-32'

/** Operations of a pickle, as bytes. */
export const text = (value: string): number[] => {
  const bytes = Buffer.from(value)
  return [0x58, ...new Uint8Array(Uint32Array.of(bytes.length).buffer), ...bytes]
}
export const integer = (value: number): number[] => [0x4a, ...new Uint8Array(Int32Array.of(value).buffer)]
export const global = (name: string): number[] => {
  const dot = name.lastIndexOf('.')
  return [...Buffer.from(`c${name.slice(0, dot)}\n${name.slice(dot + 1)}\n`)]
}
export const tuple = (...items: number[][]): number[] => [0x28, ...items.flat(), 0x74]
export const dict = (...items: [key: number[], value: number[]][]): number[] => [0x7d, 0x28, ...items.flat(2), 0x75]
export const pickle = (...operations: number[][]): number[] => [0x80, 2, ...operations.flat(), 0x2e]

/** A call of `_rebuild_tensor` on the F32 storage `key` of `count` elements. */
export function tensor(count: number, shape: number[], strides: number[], offset = 0, key = '0'): number[] {
  const storage = tuple(text('storage'), global('torch.FloatStorage'), text(key), text('cpu'), integer(count))
  const layout = [shape, strides].map((sizes) => tuple(...sizes.map(integer)))
  return [...global('torch._utils._rebuild_tensor'), ...tuple([...storage, 0x51], integer(offset), ...layout), 0x52]
}

const LEGACY_START = [
  ...pickle([0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]),
  ...pickle(integer(1001)),
  ...pickle(dict([text('little_endian'), [0x88]])),
]

/** A legacy file with the pickle `root`, whose one storage is '0' (none if it is undefined). */
export function legacyFile(root: Uint8Array | number[], storage?: Float32Array): Uint8Array {
  const keys = storage ? pickle([0x5d], text('0'), [0x61]) : pickle([0x5d])
  const count = storage ? new Uint8Array(BigUint64Array.of(BigInt(storage.length)).buffer) : new Uint8Array(0)
  const data = storage ? new Uint8Array(storage.buffer, storage.byteOffset, storage.byteLength) : new Uint8Array(0)
  return new Uint8Array(
    Buffer.concat([Uint8Array.from(LEGACY_START), Uint8Array.from(root), Uint8Array.from(keys), count, data]),
  )
}

export interface Record {
  readonly name: string
  readonly data: Uint8Array
  /** Compression method; 0 stores. */
  readonly method?: number
  /** Size that the directory states. */
  readonly size?: number
  /** Index of the record whose local header the directory names instead. */
  readonly at?: number
}

/** A zip of uncompressed records. */
export function zipFile(records: readonly Record[]): Uint8Array {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  const offsets: number[] = []
  let offset = 0
  for (const { name, data, method = 0, size = data.length } of records) {
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(method, 4)
    common.writeInt32LE(crc32.buf(data), 10)
    common.writeUInt32LE(data.length, 14)
    common.writeUInt32LE(size, 18)
    common.writeUInt16LE(name.length, 22)
    offsets.push(offset)
    locals.push(Buffer.from('PK\x03\x04'), common, Buffer.from(name), Buffer.from(data))
    offset += 30 + name.length + data.length
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), common, Buffer.alloc(14), Buffer.from(name))
  }
  for (const [i, { at = i }] of records.entries()) directory[4 * i + 2]!.writeUInt32LE(offsets[at]!, 10)
  const end = Buffer.alloc(18)
  end.writeUInt16LE(records.length, 4)
  end.writeUInt16LE(records.length, 6)
  end.writeUInt32LE(Buffer.concat(directory).length, 8)
  end.writeUInt32LE(offset, 12)
  return new Uint8Array(Buffer.concat([...locals, ...directory, Buffer.from('PK\x05\x06'), end]))
}
