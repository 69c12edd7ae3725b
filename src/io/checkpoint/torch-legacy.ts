import { type ByteSource, brokenFile, readRange } from '../source.ts'
import type { CheckpointContent, TensorEntry } from './checkpoint.ts'
import { MAX_PICKLE_BYTES, PickleDict, PickleList } from './pickle.ts'
import { Region } from './region.ts'
import { TorchPickle } from './torch.ts'
import { nameTensors } from './torch-names.ts'

/** What the first pickle of such a file holds: a number of PyTorch's. */
const MAGIC = 0x1950_a86a_20f9_469c_fc6cn
const PROTOCOL = 1001

/** Bytes that are tried first for the pickles, which do not say how long they are. */
const FIRST_BYTES = 2 ** 20

/**
 * What torch.save wrote before 1.6: five pickles (magic number, protocol, machine, the object, the keys of its storages),
 * then for each key the number of elements, in 8 bytes, and the elements.
 */
export async function openTorchLegacy(source: ByteSource, inert: readonly string[]): Promise<CheckpointContent> {
  const { root, keys, end, host } = await readPickles(source, inert)
  const regions = await findStorages(source, keys, end, host)
  const { tensors, others } = nameTensors(root, host)
  const entries = new Map<string, TensorEntry>()
  for (const [name, { storage, dtype, shape, offset, strides }] of tensors) {
    entries.set(name, { dtype, shape, offset, strides, region: regions.get(storage.key) as Region })
  }
  return { format: 'PyTorch, legacy', entries, others }
}

interface Pickles {
  readonly root: unknown
  readonly keys: unknown
  /** The byte after them. */
  readonly end: number
  readonly host: TorchPickle
}

async function readPickles(source: ByteSource, inert: readonly string[]): Promise<Pickles> {
  const most = Math.min(source.size, MAX_PICKLE_BYTES)
  for (let length = Math.min(FIRST_BYTES, most); ; length = Math.min(4 * length, most)) {
    const pickles = tryPickles(await readRange(source, 0, length), source, inert)
    if (pickles) return pickles
    if (length === most) throw brokenFile(source.name, `it ends, or has more than ${most} bytes, before its pickles do`)
  }
}

/** `undefined` if the bytes end before the pickles do. */
function tryPickles(bytes: Uint8Array, source: ByteSource, inert: readonly string[]): Pickles | undefined {
  const host = new TorchPickle(source.name, inert)
  const values: unknown[] = []
  let end = 0
  while (values.length < 5) {
    const pickle = host.read(bytes, end)
    if (!pickle) return undefined
    values.push(pickle.value)
    end = pickle.end
    checkStart(values, source)
  }
  return { root: values[3], keys: values[4], end, host }
}

/** Checks the pickle that was read last, if it is one of the first three. */
function checkStart(values: readonly unknown[], { name }: ByteSource): void {
  const [magic, protocol, machine] = values
  if (values.length === 1 && magic !== MAGIC) throw brokenFile(name, "it is a pickle, but not one of PyTorch's")
  if (values.length === 2 && protocol !== PROTOCOL) throw brokenFile(name, 'it has an unknown protocol version')
  if (values.length === 3 && !(machine instanceof PickleDict && machine.entries?.get('little_endian') === true)) {
    throw brokenFile(name, 'its numbers are not little-endian')
  }
}

/** Where the storages lie that `keys` lists, which are all that the pickle has, up to the end of the file. */
async function findStorages(
  source: ByteSource,
  keys: unknown,
  start: number,
  { storages }: TorchPickle,
): Promise<ReadonlyMap<string, Region>> {
  if (!(keys instanceof PickleList)) throw brokenFile(source.name, 'the keys of its storages are no list')
  const regions = new Map<string, Region>()
  let at = start
  for (const key of keys.items) {
    const storage = storages.get(key as string)
    if (!storage || regions.has(storage.key)) {
      throw brokenFile(source.name, 'it lists a storage that its pickle does not have, or one twice')
    }
    const size = await readRange(source, at, 8)
    const count = new DataView(size.buffer, size.byteOffset, 8).getBigUint64(0, true)
    const what = `storage ${JSON.stringify(storage.key)}`
    if (count !== BigInt(storage.count)) {
      throw brokenFile(source.name, `${what} should have ${storage.count} elements, and has ${count}`)
    }
    regions.set(storage.key, new Region(source, what, at + 8, storage.bytes))
    at += 8 + storage.bytes
  }
  if (regions.size < storages.size) {
    throw brokenFile(source.name, `it lists ${regions.size} storages, and its pickle has ${storages.size}`)
  }
  if (at !== source.size) {
    throw brokenFile(source.name, `its storages end at byte ${at}, and it has ${source.size}`)
  }
  return regions
}
