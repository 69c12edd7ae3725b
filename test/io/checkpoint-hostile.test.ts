import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { type ByteSource, byteSource, openCheckpoint } from '../../src/io/index.ts'
import { dict, global, integer, legacyFile, pickle, tensor, text, tuple, zipFile } from '../support/torch-file.ts'

const open = (bytes: Uint8Array) => openCheckpoint(byteSource(bytes, 'a file'))
const openRoot = (root: Uint8Array | number[], storage?: Float32Array) => open(legacyFile(root, storage))
const four = Float32Array.of(1, 2, 3, 4)
const many = (count: number, ...bytes: number[]) =>
  Uint8Array.from({ length: count * bytes.length }, (_, i) => bytes[i % bytes.length]!)
const EMPTY_LIST = 0x5d
const APPEND = 0x61

/** Claims to be larger than it is, and counts what is read of it. */
function huge(size: number, start: Uint8Array, end = new Uint8Array(0)): ByteSource & { bytes: number } {
  const source = {
    name: 'a huge file',
    size,
    bytes: 0,
    read: async (offset: number, length: number) => {
      source.bytes += length
      const bytes = new Uint8Array(length)
      if (offset < start.length) bytes.set(start.subarray(offset, offset + length))
      const tail = size - end.length
      if (offset + length > tail)
        bytes.set(end.subarray(Math.max(0, offset - tail)).subarray(0, length), Math.max(0, tail - offset))
      return bytes
    },
  }
  return source
}

describe('a pickle', () => {
  test.each<[string, number[], RegExp]>([
    ['reaches beyond its storage', tensor(4, [5], [1]), /shape \[5\] that reaches beyond the 16 bytes of storage "0"/],
    ['starts beyond its storage', tensor(4, [2, 2], [2, 1], 1), /reaches beyond/],
    ['strides beyond its storage', tensor(4, [2, 2], [3, 1]), /reaches beyond/],
    ['strides backwards', tensor(4, [2], [-1], 1), /no sizes/],
    ['has a negative size', tensor(4, [-2], [1]), /no sizes/],
    [
      'has sizes whose product is beyond 2⁵³',
      tensor(4, new Array(8).fill(2 ** 30), new Array(8).fill(0)),
      /reaches beyond/,
    ],
    ['has more strides than sizes', tensor(4, [2], [1, 1]), /no sizes/],
    [
      'repeats elements to gigabytes',
      tensor(4, [2 ** 15, 2 ** 15], [0, 0]),
      /repeats elements .* more than 1048576 bytes/,
    ],
    ['has 65 dimensions', tensor(4, new Array(65).fill(1), new Array(65).fill(1)), /no sizes/],
  ])('with a tensor that %s is refused', async (_, value, message) => {
    await expect(openRoot(pickle(dict([text('w'), value])), four)).rejects.toThrow(message)
  })

  test.each<[string, Uint8Array | number[], RegExp]>([
    ['refers to a value that it has not made', pickle([0x68, 9]), /refers to value 9/],
    ['takes what is not there', pickle([0x85]), /takes a value that is not there/],
    ['takes beyond a mark', pickle([0x4e, 0x28, 0x85]), /takes a value that is not there/],
    ['ends a group that it did not begin', pickle([0x74]), /ends a group/],
    ['leaves values behind', pickle([0x4e, 0x4e]), /leaves values behind/],
    ['calls a dict', pickle([0x7d, 0x29, 0x52]), /calls what is no function/],
    ['calls a dtype', pickle(global('torch.float32'), [0x29, 0x52]), /calls what is no function/],
    ['calls by name', pickle(global('collections.OrderedDict'), [0x29, 0x7d, 0x92]), /calls with arguments by name/],
    ['has an integer of 4 GiB', pickle([0x8b, 0xff, 0xff, 0xff, 0xff]), /ends, or has more than/],
    ['has an array of 2⁶³ bytes', pickle([0x96, ...new Array(8).fill(0x7f)]), /ends, or has more than/],
    ['pops what is not there', pickle([0x30]), /takes a value that is not there/],
    ['calls with a list', pickle(global('collections.OrderedDict'), [0x5d, 0x52]), /arguments that are no tuple/],
    ['appends to a tuple', pickle([0x29, 0x4e, 0x61]), /appends to something that is no list/],
    ['sets a key of a list', pickle([0x5d, 0x4e, 0x4e, 0x73]), /sets a key of something that is no dict/],
    ['sets a key twice', pickle(dict([text('a'), [0x4e]], [text('a'), [0x4e]])), /sets a key of a dict twice/],
    ['has a list as a key', pickle(dict([[0x5d], [0x4e]])), /a list or a dict as a key/],
    ['has a key without a value', pickle([0x7d, 0x28, 0x4e, 0x75]), /a key without a value/],
    ['sets the state of a tuple', pickle([0x29, 0x4e, 0x62]), /sets the state of something that has none/],
    ['has text that is not UTF-8', pickle([0x55, 1, 0xff]), /not UTF-8/],
    ['has a name without an end', pickle([0x63], new Array(2000).fill(0x61)), /name without an end/],
    ['has text of 4 GiB', pickle([0x58, 0xff, 0xff, 0xff, 0xff]), /ends, or has more than/],
    ['is of protocol 0', pickle([0x49, 0x31, 0x0a]), /the operation 0x49 at byte/],
    ['makes a class of its own', pickle([0x28, 0x69, 0x6f, 0x73, 0x0a, 0x78, 0x0a]), /the operation 0x69/],
    ['has a protocol above 5', [0x80, 9, 0x4e, 0x2e], /protocol above 5/],
    ['describes no storage', pickle(text('x'), [0x51]), /storage in an unknown way/],
    [
      'names one of two things of a tensor',
      pickle(dict([text('a.b'), tensor(4, [1], [1])], [text('a'), dict([text('b'), tensor(4, [1], [1])])])),
      /two tensors of the name "a\.b"/,
    ],
    [
      'gives a storage two sizes',
      pickle(tuple(tensor(4, [1], [1]), tensor(3, [1], [1]))),
      /storage "0" twice, differently/,
    ],
    [
      'rebuilds a tensor of nothing',
      pickle(global('torch._utils._rebuild_tensor_v2'), [0x29, 0x52]),
      /storage without a type/,
    ],
    [
      'rebuilds a dict',
      pickle(global('torch._utils._rebuild_tensor_v2'), tuple([0x7d]), [0x52]),
      /storage without a type/,
    ],
    ['names a prototype as a global', pickle(global('torch.__proto__')), /refers to "torch\.__proto__"/],
    ['names a method of objects', pickle(global('.constructor')), /refers to "\.constructor"/],
  ])('that %s is refused', async (_, root, message) => {
    await expect(openRoot(root, four)).rejects.toThrow(message)
  })

  test('with a view whose elements lie far apart, each many times, is read in bounded time', async () => {
    const count = 42_000_001
    const view = tensor(count, new Array(14).fill(2), new Array(14).fill(3_000_000))
    const start = legacyFile(pickle(dict([text('w'), view])), new Float32Array(0))
    new DataView(start.buffer).setBigUint64(start.length - 8, BigInt(count), true)
    const source = huge(start.length + 4 * count, start)
    const checkpoint = await openCheckpoint(source)
    expect((await checkpoint.read('w')).data.length).toBe(2 ** 14)
    expect(source.bytes).toBeLessThan(2 ** 24)
  })

  test('of a dict that holds itself is refused', async () => {
    const cycle = [0x7d, 0x71, 0, ...text('a'), 0x68, 0, 0x73]
    await expect(openRoot(pickle(cycle))).rejects.toThrow(/deeper than 16/)
  })

  test('of lists that hold lists twice over, without end, is refused in bounded time', async () => {
    // Each list holds the one before it eight times, which makes 8¹⁵ places.
    const lists = Array.from({ length: 15 }, (_, i) => [0x71, i, 0x5d, 0x28, ...many(8, 0x68, i), 0x65])
    const root = pickle([0x28, 0x5d], ...lists, [0x74])
    await expect(openRoot(root)).rejects.toThrow(/too many values/)
  })

  test('of a million nested lists is refused without recursion', async () => {
    const root = Buffer.concat([many(1_000_000, EMPTY_LIST), many(999_999, APPEND), Uint8Array.of(0x2e)])
    await expect(openRoot(Uint8Array.from(root))).rejects.toThrow(/deeper than 16/)
  })

  test.each<[string, number[]]>([
    ['lists', [0x5d]],
    ['dicts', [0x7d]],
    ['memo entries', [0x4e, 0x94]],
    ['dicts with an item', [0x7d, 0x4e, 0x4e, 0x73]],
    ['marks', [0x28, 0x4e]],
  ])('of millions of %s is refused in bounded time and memory', async (_, operations) => {
    const before = process.memoryUsage().rss
    const root = many(Math.ceil(4_300_000 / operations.length), ...operations)
    await expect(openRoot(root)).rejects.toThrow(/more than 4194304 operations/)
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 30)
  })

  test('may name tensors as JavaScript names its own things', async () => {
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const value = tensor(4, [4], [1])
    const root = pickle(dict(...names.map((name): [number[], number[]] => [text(name), value])))
    const checkpoint = await openRoot(root, four)
    expect([...checkpoint.tensors.keys()]).toEqual(names)
    for (const name of names) expect((await checkpoint.read(name)).data).toEqual(four)
    expect(({} as Record<string, unknown>).shape).toBeUndefined()
  })

  test('of random operations is refused or read, and nothing else', async () => {
    const operation = fc.constantFrom(...'01\x91\x92N()}]\x85\x86\x87t\x88\x89aesuRbQ\x81\x90\x8f\x93\x94')
    const bytes = fc.oneof(
      operation.map((code) => [code.charCodeAt(0)]),
      fc.constantFrom('storage', '0', 'cpu', 'state_dict', 'w', '').map(text),
      fc.constantFrom(-1, 0, 1, 2, 4, 2 ** 31 - 1).map(integer),
      fc.nat(3).map((i) => [0x71, i]),
      fc.nat(3).map((i) => [0x68, i]),
      fc
        .constantFrom(
          '_utils._rebuild_tensor',
          '_utils._rebuild_tensor_v2',
          'FloatStorage',
          'Size',
          'float32',
          'Tensor',
        )
        .map((name) => global(`torch.${name}`)),
      fc.constantFrom('torch._tensor._rebuild_from_type_v2', 'collections.OrderedDict', 'torch.device').map(global),
      fc.constantFrom(tensor(4, [4], [1]), tensor(4, [2, 2], [1, 2])),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 30 }), async (program) => {
        try {
          const checkpoint = await openRoot(pickle([0x5d, 0x28], ...program, [0x65]), four)
          for (const name of checkpoint.tensors.keys()) await checkpoint.read(name)
        } catch (error) {
          expect(error).toBeInstanceOf(Ld3mError)
          expect((error as Ld3mError).code).toBe('data')
        }
      }),
      { numRuns: 5000 },
    )
  })
})

describe('a zip', () => {
  const root = Uint8Array.from(pickle(dict([text('w'), tensor(4, [4], [1])], [text('v'), tensor(4, [4], [1], 0, '1')])))
  const data = new Uint8Array(four.buffer)
  const records = [
    { name: 'a/data.pkl', data: root },
    { name: 'a/data/0', data },
    { name: 'a/data/1', data },
  ]
  const changed = (i: number, change: object) =>
    zipFile(records.map((record, k) => (k === i ? { ...record, ...change } : record)))

  test('of the same records by another writer is read', async () => {
    const checkpoint = await open(zipFile(records))
    expect([...checkpoint.tensors.keys()]).toEqual(['w', 'v'])
    expect((await checkpoint.read('v')).data).toEqual(four)
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['has a compressed record', changed(1, { method: 8 }), /a\/data\/0 is compressed or encrypted/],
    ['states a size beyond its bytes', changed(1, { size: 2 ** 31 }), /a\/data\/0 is compressed or encrypted/],
    ['has two storages in one place', changed(2, { at: 1 }), /zip structure is damaged/],
    ['lacks a storage', zipFile(records.slice(0, 2)), /no record a\/data\/1/],
    [
      'has a storage of another size',
      changed(2, { data: data.subarray(4) }),
      /storage "1" should have 16 bytes, and has 12/,
    ],
    ['has a record twice', zipFile([...records, records[1]!]), /the record a\/data\/0 twice/],
    [
      'names a record above its folder',
      zipFile([...records, { name: 'a/../../b', data }]),
      /Unsafe|structure is damaged/,
    ],
    ['has two pickles', zipFile([...records, { name: 'b/data.pkl', data: root }]), /2 records …\/data\.pkl/],
    ['has no pickle', zipFile(records.slice(1)), /0 records …\/data\.pkl/],
    ['is big-endian', zipFile([...records, { name: 'a/byteorder', data: Buffer.from('big') }]), /byte order "big"/],
    ['has a pickle that goes on', changed(0, { data: Buffer.concat([root, root]) }), /ends early or late/],
    ['has a pickle that is cut', changed(0, { data: root.subarray(0, 20) }), /ends early or late/],
    ['is empty', zipFile([]), /structure is damaged|0 records/],
  ])('that %s is refused', async (_, bytes, message) => {
    await expect(open(bytes)).rejects.toThrow(message)
  })

  test('with a directory of gigabytes is refused before it is read', async () => {
    const end = Buffer.alloc(22)
    end.write('PK\x05\x06')
    end.writeUInt16LE(60_000, 8)
    end.writeUInt16LE(60_000, 10)
    end.writeUInt32LE(3 * 2 ** 30, 12)
    const source = huge(4 * 2 ** 30, Buffer.from('PK\x03\x04'), end)
    await expect(openCheckpoint(source)).rejects.toThrow(/zip directory has 3221225472 bytes|structure is damaged/)
    expect(source.bytes).toBeLessThan(2 ** 24)
  })

  test('with a pickle of gigabytes is refused before it is read', async () => {
    const source = huge(2 ** 33, legacyFile(pickle([0x58, 0xff, 0xff, 0xff, 0xff])))
    await expect(openCheckpoint(source)).rejects.toThrow(/more than 67108864 bytes, before its pickles do/)
    expect(source.bytes).toBeLessThan(2 ** 27)
  })
})

describe('a safetensors file', () => {
  test('with a header of gigabytes is refused before it is read', async () => {
    const start = new Uint8Array(9)
    new DataView(start.buffer).setBigUint64(0, 2n ** 32n, true)
    start[8] = 0x7b
    const source = huge(2 ** 33, start)
    await expect(openCheckpoint(source)).rejects.toThrow(/header has 4294967296 bytes, more than the 33554432/)
    expect(source.bytes).toBeLessThan(1000)
  })

  test.each<[string, string]>([
    ['nested objects', '{"a":'.repeat(1 << 20)],
    ['nested arrays', `{"a":${'['.repeat(8 << 20)}`],
    ['empty arrays', `{"a":[${'[],'.repeat(2 << 20)}[]]}`],
    ['an open string', `{"${'a\\"'.repeat(1 << 20)}`],
  ])('with a header of megabytes of %s is refused in bounded time', async (_, header) => {
    const bytes = new Uint8Array(8 + header.length)
    new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true)
    bytes.set(Buffer.from(header), 8)
    const start = performance.now()
    await expect(open(bytes)).rejects.toThrow(/brackets that describe no tensor|not JSON/)
    expect(performance.now() - start).toBeLessThan(5000)
  })
})
