import { optionError } from '../../errors.ts'
import { arrayAt, DTYPES, type Dtype, elementCount, type StoredTensor } from '../dtypes.ts'
import { type ByteSource, closeSources } from '../source.ts'
import { PIECE_BYTES, type Region } from './region.ts'
import { readStrided } from './strided.ts'

/** What is known of a tensor before it is read. */
export interface TensorInfo {
  readonly dtype: Dtype
  /** `[]` is a scalar. */
  readonly shape: readonly number[]
}

/** Where a tensor's elements lie: checked to be within the region. */
export interface TensorEntry extends TensorInfo {
  readonly region: Region
  /** The first element's place, in elements. */
  readonly offset: number
  /** Distances in elements; without them the elements are dense and row-major. */
  readonly strides?: readonly number[] | undefined
}

export type CheckpointFormat = 'safetensors' | 'PyTorch' | 'PyTorch, legacy' | 'sharded'

/** What opening a file gives. */
export interface CheckpointContent {
  readonly format: CheckpointFormat
  readonly entries: ReadonlyMap<string, TensorEntry>
  readonly others?: readonly string[]
  readonly metadata?: Readonly<Record<string, string>>
}

/**
 * A file of named tensors (or several files) that is read one tensor at a time. Opening it has read and checked what
 * describes the tensors, not their elements.
 */
export class Checkpoint {
  readonly format: CheckpointFormat
  /** Dtypes and shapes by name, in the file's order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Names of what the file holds beside them: numbers, optimizer states, what lies outside of `state_dict`. */
  readonly others: readonly string[]
  /** The free-form metadata of a safetensors file; empty for other formats. */
  readonly metadata: Readonly<Record<string, string>>
  readonly #entries: ReadonlyMap<string, TensorEntry>
  readonly #sources: readonly ByteSource[]

  /** Use `openCheckpoint`. */
  constructor({ format, entries, others = [], metadata = {} }: CheckpointContent, sources: readonly ByteSource[]) {
    this.format = format
    this.tensors = new Map([...entries].map(([name, { dtype, shape }]) => [name, { dtype, shape }]))
    this.others = others
    this.metadata = metadata
    this.#entries = entries
    this.#sources = sources
  }

  /**
   * Reads one tensor. Its data may be a view of the source's bytes.
   * @throws Ld3mError `option` if there is none of that name, `data` if its bytes are damaged
   */
  async read(name: string): Promise<StoredTensor> {
    const entry = this.#entry(name)
    const { dtype, shape } = entry
    return {
      dtype,
      shape,
      data: arrayAt(await readAll(entry), 0, dtype, elementCount(shape) as number),
    } as StoredTensor
  }

  /**
   * Reads one tensor's elements, row-major, in flat pieces of at most `bytes` bytes (default 16 MiB); a tensor without
   * elements has none. A strided view is gathered first, so that all of it is in memory.
   * @throws Ld3mError `option` if there is no tensor of that name, `data` if its bytes are damaged: for some files
   * that is known only after the last piece
   */
  async *pieces(name: string, bytes: number = PIECE_BYTES): AsyncGenerator<StoredTensor> {
    const entry = this.#entry(name)
    const { dtype, shape, region, offset, strides } = entry
    const each = DTYPES[dtype].BYTES_PER_ELEMENT
    const pieceBytes = Math.max(each, Math.floor(bytes / each) * each)
    if (strides) {
      const all = await readAll(entry)
      for (let at = 0; at < all.length; at += pieceBytes) yield flat(dtype, all.subarray(at, at + pieceBytes))
      return
    }
    const start = offset * each
    const end = start + (elementCount(shape) as number) * each
    for await (const piece of region.pieces(start, end, pieceBytes)) yield flat(dtype, piece)
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await closeSources(this.#sources)
  }

  #entry(name: string): TensorEntry {
    const entry = this.#entries.get(name)
    if (entry) return entry
    throw optionError(`The checkpoint has no tensor ${JSON.stringify(name)}.`, "Take a name of its 'tensors'.")
  }
}

function readAll({ dtype, shape, region, offset, strides }: TensorEntry): Promise<Uint8Array> {
  const each = DTYPES[dtype].BYTES_PER_ELEMENT
  if (strides) return readStrided(region, each, offset, shape, strides)
  return region.read(offset * each, (offset + (elementCount(shape) as number)) * each)
}

function flat(dtype: Dtype, bytes: Uint8Array): StoredTensor {
  const count = bytes.length / DTYPES[dtype].BYTES_PER_ELEMENT
  return { dtype, shape: [count], data: arrayAt(bytes, 0, dtype, count) } as StoredTensor
}
