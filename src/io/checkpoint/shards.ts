import { findDuplicateKey, isJsonObject, jsonStructure } from '../json.ts'
import { type ByteSource, brokenFile, readRange } from '../source.ts'

/** Room for 300 thousand tensors. */
const MAX_INDEX_BYTES = 2 ** 25

/**
 * Reads the index of a checkpoint in several files, as Hugging Face writes it (`model.safetensors.index.json`).
 * @returns the file's name by tensor name; file names have no folders
 */
export async function readShardIndex(source: ByteSource): Promise<ReadonlyMap<string, string>> {
  const fail = (what: string, cause?: unknown) => brokenFile(source.name, `as an index of shards ${what}`, cause)
  if (source.size > MAX_INDEX_BYTES)
    throw fail(`it has ${source.size} bytes, more than the ${MAX_INDEX_BYTES} that are read`)
  const index = parse(await readRange(source, 0, source.size), fail)
  const map = isJsonObject(index) ? index.weight_map : undefined
  if (!isJsonObject(map)) throw fail('it has no object "weight_map"')
  const files = new Map<string, string>()
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !isFileName(file)) {
      throw fail(
        `it names the file ${JSON.stringify(file)}; a shard lies beside the index, under a name without folders`,
      )
    }
    files.set(name, file)
  }
  return files
}

function parse(bytes: Uint8Array, fail: (what: string, cause?: unknown) => Error): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw fail('it is not UTF-8', cause)
  }
  const { depth, brackets } = jsonStructure(text)
  if (depth > 8 || brackets > 1000) throw fail('it has more brackets than an index needs')
  let index: unknown
  try {
    index = JSON.parse(text)
  } catch (cause) {
    throw fail('it is not JSON', cause)
  }
  const duplicate = findDuplicateKey(text)
  if (duplicate !== undefined) throw fail(`it holds the key ${JSON.stringify(duplicate)} twice`)
  return index
}

const isFileName = (name: string): boolean => /^[\w.+ -]+$/.test(name) && !/^\.*$/.test(name)
