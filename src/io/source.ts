import { dataError } from '../errors.ts'

/** Bytes that are read by range, so that a file need not fit into memory. */
export interface ByteSource {
  /** Names it in error messages. */
  readonly name: string
  /** Bytes in all. */
  readonly size: number
  /** The `length` bytes from `offset` on, a range within `size`. They may be a view of what the source holds. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Gives back what the source holds open. */
  close?(): Promise<void>
}

/**
 * A source of bytes in memory, or of a Blob or a File, of which only the ranges that are asked for are read.
 * @param name names it in error messages; default: the File's own name
 */
export function byteSource(data: Uint8Array | Blob, name?: string): ByteSource {
  if (data instanceof Uint8Array) {
    const read = async (offset: number, length: number) => data.subarray(offset, offset + length)
    return { name: name ?? 'the data', size: data.length, read }
  }
  return {
    name: name ?? (data as Partial<File>).name ?? 'the Blob',
    size: data.size,
    read: async (offset, length) => new Uint8Array(await data.slice(offset, offset + length).arrayBuffer()),
  }
}

/**
 * The `length` bytes from `offset` on.
 * @throws Ld3mError `data` if they are not all there
 */
export async function readRange(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const inside = offset >= 0 && length >= 0 && offset + length <= source.size
  const bytes = inside ? await source.read(offset, length) : undefined
  if (bytes?.length === length) return bytes
  throw brokenFile(source.name, `bytes ${offset} to ${offset + length} are not all there; it has ${source.size}`)
}

/** Closes all sources, also where one cannot be; then throws what that one threw. */
export async function closeSources(sources: readonly ByteSource[]): Promise<void> {
  const outcomes = await Promise.allSettled(sources.map(async (source) => source.close?.()))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** The error for a file that breaks a rule of its format; `what` completes "Cannot read NAME: …". */
export const brokenFile = (name: string, what: string, cause?: unknown) =>
  dataError(`Cannot read ${name}: ${what}.`, 'The file is damaged or foreign; fetch or write it again.', cause)
