import type { FileEntry, Reader } from '@zip.js/zip.js'
import { dataError, Ld3mError } from '../../errors.ts'
import { type ByteSource, brokenFile, readRange } from '../source.ts'
import type { CheckpointContent, TensorEntry } from './checkpoint.ts'
import { MAX_PICKLE_BYTES } from './pickle.ts'
import { type Checksum, Region } from './region.ts'
import { TorchPickle } from './torch.ts'
import { nameTensors } from './torch-names.ts'

/** Bytes of a zip's directory: room for 100 thousand storages. */
const MAX_DIRECTORY_BYTES = 2 ** 23

/** What torch.save writes: a zip of uncompressed records, `…/data.pkl` and a `…/data/KEY` for each storage. */
export async function openTorchZip(source: ByteSource, inert: readonly string[]): Promise<CheckpointContent> {
  const zip = await openZip(source)
  const pickles = [...zip.names].filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  const [pickleName] = pickles
  if (pickleName === undefined || pickles.length > 1) {
    throw brokenFile(source.name, `it is a zip with ${pickles.length} records …/data.pkl, and PyTorch writes one`)
  }
  const prefix = pickleName.slice(0, -'data.pkl'.length)
  if (zip.names.has(`${prefix}constants.pkl`)) {
    throw dataError(
      `Cannot read ${source.name}: it is a TorchScript program.`,
      'Save its tensors instead: torch.save(torch.jit.load(…).state_dict(), …).',
    )
  }
  if (zip.names.has(`${prefix}byteorder`)) {
    const order = new TextDecoder().decode(await wholeRecord(await zip.record(`${prefix}byteorder`), 64))
    if (order !== 'little') throw brokenFile(source.name, `its numbers are in the byte order ${JSON.stringify(order)}`)
  }

  const host = new TorchPickle(source.name, inert)
  const bytes = await wholeRecord(await zip.record(pickleName), MAX_PICKLE_BYTES)
  const root = host.read(bytes, 0)
  if (root?.end !== bytes.length) throw host.broken('its pickle ends early or late')
  const { tensors, others } = nameTensors(root.value, host)
  const regions = new Map<string, Region>()
  for (const { key, bytes: expected } of host.storages.values()) {
    const region = await zip.record(`${prefix}data/${key}`)
    if (region.bytes !== expected) {
      throw host.broken(`storage ${JSON.stringify(key)} should have ${expected} bytes, and has ${region.bytes}`)
    }
    regions.set(key, region)
  }
  const entries = new Map<string, TensorEntry>()
  for (const [name, { storage, dtype, shape, offset, strides }] of tensors) {
    entries.set(name, { dtype, shape, offset, strides, region: regions.get(storage.key) as Region })
  }
  return { format: 'PyTorch', entries, others }
}

async function wholeRecord(region: Region, maxBytes: number): Promise<Uint8Array> {
  const { bytes, source, name } = region
  if (bytes > maxBytes)
    throw brokenFile(source.name, `${name} has ${bytes} bytes, more than the ${maxBytes} that are read`)
  return region.read(0, bytes)
}

/** A zip whose records are uncompressed, in the file without overlap, and have checksums. */
interface Zip {
  readonly names: ReadonlySet<string>
  record(name: string): Promise<Region>
}

async function openZip(source: ByteSource): Promise<Zip> {
  // Loaded when there is something for it to read: it is large.
  const { ZipReader } = await import('@zip.js/zip.js/lib/zip-core-reader.js')
  const { default: crc32 } = await import('crc-32')
  const update = (bytes: Uint8Array, seed: number) => crc32.buf(bytes, seed)
  const entries = await damagedOtherwise(source, async () => {
    const found = new Map<string, FileEntry>()
    // Records that disagree with the directory or overlap are refused below. Anything stricter would refuse all of
    // PyTorch's files: it writes the end of the directory twice, in the 64-bit form too.
    const reader = new ZipReader(zipSource(source), { checkLocalDirectory: true })
    for await (const entry of reader.getEntriesGenerator()) {
      if (entry.directory) continue
      if (found.has(entry.filename)) throw brokenFile(source.name, `it has the record ${entry.filename} twice`)
      found.set(entry.filename, entry)
    }
    return found
  })
  return {
    names: new Set(entries.keys()),
    record: async (name) => {
      const entry = entries.get(name)
      if (!entry) throw brokenFile(source.name, `it has no record ${name}`)
      const { encrypted, compressionMethod, uncompressedSize: bytes, compressedSize, crc32: expected } = entry
      if (encrypted || compressionMethod !== 0 || bytes !== compressedSize) {
        throw brokenFile(source.name, `its record ${name} is compressed or encrypted, and PyTorch stores it as it is`)
      }
      await damagedOtherwise(source, () => entry.getData(new WritableStream(), { checkOverlappingEntryOnly: true }))
      const start = entry.localDirectory?.dataOffset as number
      // 0 stands for one that was not computed, an option of torch.save.
      const checksum: Checksum | undefined = expected ? { expected: expected | 0, update } : undefined
      return new Region(source, name, start, bytes, checksum)
    },
  }
}

/** The source as zip.js reads directories and headers; records it is not asked for, so it needs no streams. */
function zipSource(source: ByteSource): Reader<unknown> {
  const reader = {
    size: source.size,
    initialized: true,
    init: async () => undefined,
    readUint8Array: async (offset: number, length: number) => {
      if (length > MAX_DIRECTORY_BYTES) {
        const most = `more than the ${MAX_DIRECTORY_BYTES} that are read`
        throw brokenFile(source.name, `its zip directory has ${length} bytes, ${most}`)
      }
      return readRange(source, offset, Math.max(0, Math.min(length, source.size - offset)))
    },
  }
  return reader as unknown as Reader<unknown>
}

async function damagedOtherwise<T>(source: ByteSource, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof Ld3mError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw brokenFile(source.name, `its zip structure is damaged (${reason})`, cause)
  }
}
