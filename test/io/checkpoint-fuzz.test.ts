import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { type ByteSource, byteSource, openCheckpoint, type StoredTensor, writeSafetensors } from '../../src/io/index.ts'

const FOLDER = new URL('../golden/checkpoints/', import.meta.url)
const golden = (name: string) => new Uint8Array(readFileSync(new URL(name, FOLDER)))
const goldens = readdirSync(FOLDER).filter((name) => name.endsWith('.pt'))
const zips = goldens.filter((name) => !name.includes('legacy')).map(golden)
const legacies = goldens.filter((name) => name.includes('legacy')).map(golden)

const small: [string, StoredTensor][] = [
  ['a.weight', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }],
  ['a.bias', { dtype: 'F16', shape: [2], data: Uint16Array.of(0x3c00, 0) }],
  ['b', { dtype: 'I64', shape: [], data: BigInt64Array.of(5n) }],
]
const shards = { 'x.safetensors': new Map(small.slice(0, 2)), 'y.safetensors': new Map(small.slice(2)) }
const index = Buffer.from(
  JSON.stringify({
    metadata: { total_size: 28 },
    weight_map: Object.fromEntries(
      Object.entries(shards).flatMap(([file, of]) => [...of.keys()].map((n) => [n, file])),
    ),
  }),
)

/** Numbers that parsers trip over. */
const extremes = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** One way to damage a file, made of numbers that are taken modulo what they choose among. */
const mutation = fc.record({
  kind: fc.constantFrom('bit', 'byte', 'u32', 'u64', 'cut', 'drop', 'repeat', 'insert', 'splice', 'append'),
  at: fc.nat(),
  length: fc.nat(40),
  value: fc.oneof(fc.nat(255), fc.constantFrom(...extremes)),
  other: fc.nat(),
})
type Mutation = Parameters<Parameters<(typeof mutation)['map']>[0]>[0]

function mutate(
  bytes: Uint8Array,
  { kind, at: place, length, value, other }: Mutation,
  pool: Uint8Array[],
): Uint8Array {
  const at = place % (bytes.length + 1)
  const from = pool[other % pool.length]!
  const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
  const replaced = (word: Uint8Array) => joined(bytes.subarray(0, at), word, bytes.subarray(at + word.length))
  switch (kind) {
    case 'bit':
      return replaced(Uint8Array.of((bytes[at] ?? 0) ^ (1 << (value % 8))))
    case 'byte':
      return replaced(Uint8Array.of(value))
    case 'u32':
      return replaced(new Uint8Array(Uint32Array.of(value).buffer))
    case 'u64':
      return replaced(new Uint8Array(BigUint64Array.of(BigInt(value) << BigInt(length)).buffer))
    case 'cut':
      return bytes.subarray(0, at)
    case 'drop':
      return joined(bytes.subarray(0, at), bytes.subarray(at + length))
    case 'repeat':
      return joined(bytes.subarray(0, at + length), bytes.subarray(at))
    case 'insert':
      return joined(bytes.subarray(0, at), new Uint8Array(length).fill(value), bytes.subarray(at))
    case 'splice':
      return replaced(from.subarray(other % from.length, (other % from.length) + length))
    case 'append':
      return joined(bytes, from.subarray(0, length))
  }
}

type Contents = Map<string, { dtype: string; shape: readonly number[]; bytes: string }>

/** Everything that a file holds; undefined if it is refused, as it must be: with the code `data` and a remedy. */
async function readEverything(bytes: Uint8Array, shard = async (name: string) => byteSource(new Uint8Array(0), name)) {
  try {
    const checkpoint = await openCheckpoint(byteSource(bytes, 'a file'), { shard })
    const read: Contents = new Map()
    for (const [name, { dtype, shape }] of checkpoint.tensors) {
      const { data } = await checkpoint.read(name)
      expect(data.length).toBe(shape.reduce((n, d) => n * d, 1))
      read.set(name, {
        dtype,
        shape,
        bytes: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex'),
      })
    }
    return read
  } catch (error) {
    expect(error).toBeInstanceOf(Ld3mError)
    expect((error as Ld3mError).code).toBe('data')
    return undefined
  }
}

/** Reads `runs` damaged files, each in bounded time; `accept` sees those that are read nevertheless. */
async function fuzz(
  runs: number,
  pool: Uint8Array[],
  accept: (read: Contents, original: number) => void = () => undefined,
  parts?: (name: string) => Promise<ByteSource>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.nat(pool.length - 1), fc.array(mutation, { minLength: 1, maxLength: 4 }), async (i, edits) => {
      const start = performance.now()
      const bytes = edits.reduce((file, edit) => mutate(file, edit, pool), pool[i]!)
      const read = await readEverything(bytes, parts)
      if (read) accept(read, i)
      expect(performance.now() - start).toBeLessThan(5000)
    }),
    { numRuns: runs },
  )
}

test('of 7,000 damaged zips of torch.save, each is refused or read as it was', async () => {
  const originals = await Promise.all(zips.map((bytes) => readEverything(bytes)))
  await fuzz(7000, zips, (read, i) => expect(read).toEqual(originals[i]))
})

test('of 8,000 damaged legacy files, each is refused or read in whole tensors', async () => {
  await fuzz(8000, legacies)
})

test('of 5,000 damaged safetensors files, each is refused or read in whole tensors', async () => {
  await fuzz(5000, [writeSafetensors(new Map(small), { format: 'pt' }), writeSafetensors(new Map())])
})

test('of 2,000 damaged indices of shards, each is refused or leads to the files that it names', async () => {
  await fuzz(2000, [index], undefined, async (name) => {
    const tensors = (shards as Record<string, Map<string, StoredTensor>>)[name]
    return byteSource(tensors ? writeSafetensors(tensors) : new Uint8Array(0), name)
  })
})
