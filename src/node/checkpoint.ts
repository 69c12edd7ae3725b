import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { dataError, rejectUnknownOptions } from '../errors.ts'
import { type ByteSource, type Checkpoint, openCheckpoint } from '../io/index.ts'

export interface OpenCheckpointFileOptions {
  /** Names that a PyTorch file may refer to and that stand for nothing; see `openCheckpoint`. */
  readonly inert?: readonly string[]
}

/** A file is read in pieces: Node refuses to read 2 GiB and more at once. */
const PIECE_BYTES = 2 ** 28

/**
 * Opens a file to be read by range; `close` closes it.
 * @throws Ld3mError `data` if it is missing or cannot be read
 */
export async function fileSource(path: string): Promise<Required<ByteSource>> {
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

/**
 * Opens a checkpoint file with `openCheckpoint`; the shards of an index lie in its folder.
 * @throws Ld3mError `data` if a file is missing, cannot be read, damaged, or refers to what is no part of a tensor
 */
export async function openCheckpointFile(path: string, options: OpenCheckpointFileOptions = {}): Promise<Checkpoint> {
  rejectUnknownOptions('openCheckpointFile', options, ['inert'])
  const shard = (name: string) => fileSource(join(dirname(path), name))
  return openCheckpoint(await fileSource(path), { ...options, shard })
}

async function unlessUnreadable<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw dataError(`Cannot read ${path}: ${reason}.`, 'Give a file that exists and can be read.', cause)
  }
}
