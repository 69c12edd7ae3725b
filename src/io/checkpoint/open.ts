import { dataError, optionError, rejectUnknownOptions } from '../../errors.ts'
import { readSafetensorsHeader } from '../safetensors.ts'
import { type ByteSource, brokenFile, closeSources, readRange } from '../source.ts'
import { Checkpoint, type CheckpointContent, type TensorEntry } from './checkpoint.ts'
import { Region } from './region.ts'
import { readShardIndex } from './shards.ts'
import { openTorchLegacy } from './torch-legacy.ts'
import { openTorchZip } from './torch-zip.ts'

export interface OpenCheckpointOptions {
  /** Opens a file that an index of shards names; the names have no folders. Needed for an index alone. */
  readonly shard?: (name: string) => Promise<ByteSource>
  /**
   * Names such as `argparse.Namespace` that a PyTorch file may refer to beside those that rebuild tensors. They stand
   * for nothing: calling them gives nothing, and what is set in them is dropped. Default: none but a few that are known.
   */
  readonly inert?: readonly string[]
}

/**
 * Opens a file of named tensors, which its content tells: safetensors; PyTorch's zip (`.ckpt`, `.pt`, `.pth`) or what
 * it wrote before 1.6; an index of shards of these (`model.safetensors.index.json`). Nothing in the file is executed.
 * Dicts in a PyTorch file give dotted names; of a Lightning checkpoint only its `state_dict` is taken.
 *
 * `close` of the checkpoint closes the source; if opening fails, it is closed too.
 * @throws Ld3mError `data` if the file is damaged, of another format, or refers to what is no part of a tensor (the
 * message names it); `option` for an index without `shard`
 */
export async function openCheckpoint(source: ByteSource, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  const sources = [source]
  try {
    rejectUnknownOptions('openCheckpoint', options, ['shard', 'inert'])
    const { shard, inert = [] } = options
    const format = await formatOf(source)
    const content = format === 'index' ? openShards(source, shard, inert, sources) : openFile(source, format, inert)
    return new Checkpoint(await content, sources)
  } catch (error) {
    // Why it could not be opened is what is of interest.
    await closeSources(sources).catch(() => undefined)
    throw error
  }
}

type FileFormat = 'zip' | 'pickle' | 'safetensors' | 'tar' | 'unknown'

async function openFile(source: ByteSource, format: FileFormat, inert: readonly string[]): Promise<CheckpointContent> {
  switch (format) {
    case 'zip':
      return openTorchZip(source, inert)
    case 'pickle':
      return openTorchLegacy(source, inert)
    case 'safetensors':
      return openSafetensors(source)
    case 'tar':
      throw dataError(
        `Cannot read ${source.name}: it is the tar file that PyTorch wrote before 0.1.10.`,
        'Load it with PyTorch and save it again.',
      )
    case 'unknown':
      throw brokenFile(
        source.name,
        source.size === 0 ? 'it is empty' : 'it is neither safetensors nor a PyTorch file nor an index of shards',
      )
  }
}

async function formatOf(source: ByteSource): Promise<FileFormat | 'index'> {
  const start = await readRange(source, 0, Math.min(source.size, 264))
  const text = String.fromCharCode(...start)
  // The length of the header, then the header. A length may look like the beginning of the other formats; they have no
  // brace there, and an index that is read as a length is longer than any file.
  const header = text[8] === '{'
  const fits = start.length >= 8 && new DataView(start.buffer, start.byteOffset).getBigUint64(0, true) <= source.size
  if (header && fits) return 'safetensors'
  if (text.startsWith('PK')) return 'zip'
  if (text.startsWith('\x80')) return 'pickle'
  if (text.startsWith('{')) return 'index'
  if (header) return 'safetensors'
  return text.startsWith('ustar', 257) ? 'tar' : 'unknown'
}

async function openSafetensors(source: ByteSource): Promise<CheckpointContent> {
  const { entries: listed, metadata } = await readSafetensorsHeader(source)
  const entries = new Map<string, TensorEntry>()
  for (const { name, dtype, shape, begin, end } of listed) {
    entries.set(name, { dtype, shape, offset: 0, region: new Region(source, name, begin, end - begin) })
  }
  return { format: 'safetensors', entries, metadata }
}

/** @param opened takes the shards' sources */
async function openShards(
  source: ByteSource,
  shard: OpenCheckpointOptions['shard'],
  inert: readonly string[],
  opened: ByteSource[],
): Promise<CheckpointContent> {
  if (!shard) {
    throw optionError(
      `${source.name} is an index of shards, and openCheckpoint was not told how to open them.`,
      "Pass the option 'shard'; in Node, openCheckpointFile takes them from the index's folder.",
    )
  }
  const index = await readShardIndex(source)
  const entries = new Map<string, TensorEntry>()
  for (const file of new Set(index.values())) {
    const part = await shard(file)
    opened.push(part)
    const format = await formatOf(part)
    if (format === 'index') throw brokenFile(source.name, `its shard ${file} is an index itself`)
    for (const [name, entry] of (await openFile(part, format, inert)).entries) {
      if (index.get(name) !== file) {
        throw brokenFile(source.name, `it does not list the tensor ${JSON.stringify(name)}, which ${file} has`)
      }
      entries.set(name, entry)
    }
  }
  const missing = [...index.keys()].filter((name) => !entries.has(name))
  if (missing.length > 0) {
    const first = missing.slice(0, 5).map((name) => JSON.stringify(name))
    throw brokenFile(source.name, `its shards lack ${missing.length} tensors that it lists: ${first.join(', ')}`)
  }
  return { format: 'sharded', entries }
}
