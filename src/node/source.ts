import { open } from 'node:fs/promises'
import { dataError } from '../errors.ts'
import type { ByteSource } from '../io/index.ts'

/** A file that is open: `close` closes it. */
export interface FileSource extends ByteSource {
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

/** A file is read in pieces: Node refuses to read 2 GiB and more at once. */
const PIECE_BYTES = 2 ** 28

/**
 * Opens a file to be read by range.
 * @throws Ld3mError `data` if it is missing or cannot be read
 */
export async function fileSource(path: string): Promise<FileSource> {
  const file = await unlessUnreadable(path, () => open(path, 'r'))
  const read = async (offset: number, length: number) => {
    const bytes = new Uint8Array(length)
    for (let filled = 0; filled < length; ) {
      const piece = Math.min(PIECE_BYTES, length - filled)
      const { bytesRead } = await file.read(bytes, filled, piece, offset + filled)
      if (bytesRead === 0) throw new Error(`it ended after ${filled} of ${length} bytes`)
      filled += bytesRead
    }
    return bytes
  }
  try {
    const { size } = await unlessUnreadable(path, () => file.stat())
    return {
      name: path,
      size,
      read: (offset, length) => unlessUnreadable(path, () => read(offset, length)),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** What `work` makes of a file, which is open meanwhile. */
export async function withFile<T>(path: string, work: (file: FileSource) => T | Promise<T>): Promise<T> {
  const file = await fileSource(path)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

async function unlessUnreadable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw dataError(`Cannot read ${path}: ${reason}.`, 'Give a file that exists and can be read.', cause)
  }
}
