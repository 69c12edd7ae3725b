import { dirname, join } from 'node:path'
import { rejectUnknownOptions } from '../errors.ts'
import { type Checkpoint, layOutSafetensors, openCheckpoint } from '../io/index.ts'
import { writeFileAtomic } from './files.ts'
import { fileSource } from './source.ts'

export interface OpenCheckpointFileOptions {
  /** Names that a PyTorch file may refer to and that stand for nothing; see `openCheckpoint`. */
  readonly inert?: readonly string[]
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

/**
 * Writes a checkpoint's tensors as a safetensors file, atomically and piece by piece, so that neither file need fit
 * into memory. Values and dtypes are kept; what is no tensor is left out.
 * @param metadata default: the checkpoint's own
 * @throws Ld3mError `data` if the checkpoint is damaged or the file cannot be written
 */
export async function writeCheckpoint(
  path: string,
  checkpoint: Checkpoint,
  metadata: Readonly<Record<string, string>> = checkpoint.metadata,
): Promise<void> {
  const { header, names } = layOutSafetensors(checkpoint.tensors, metadata)
  async function* content(): AsyncGenerator<Uint8Array> {
    yield header
    for (const name of names) {
      for await (const { data } of checkpoint.pieces(name)) {
        yield new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      }
    }
  }
  await writeFileAtomic(path, content())
}
