import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  type ByteSource,
  byteSource,
  type Checkpoint,
  DTYPE_NAMES,
  openCheckpoint,
  type StoredTensor,
  writeSafetensors,
} from '../../src/io/index.ts'
import { dict, legacyFile, pickle, tensor, text } from '../support/torch-file.ts'

const FOLDER = new URL('../golden/checkpoints/', import.meta.url)
const fileBytes = (name: string) => new Uint8Array(readFileSync(new URL(name, FOLDER)))
const openGolden = (name: string, inert?: string[]) =>
  openCheckpoint(byteSource(fileBytes(name), name), { ...(inert && { inert }) })

type Expected = Record<string, [dtype: string, shape: number[], hex: string]>
const expected = JSON.parse(readFileSync(new URL('expected.json', FOLDER), 'utf8')) as Record<string, Expected>

async function contents(checkpoint: Checkpoint): Promise<Expected> {
  const read: Expected = {}
  for (const [name, { dtype, shape }] of checkpoint.tensors) {
    const tensor = await checkpoint.read(name)
    expect(tensor).toMatchObject({ dtype, shape })
    read[name] = [dtype, [...shape], hex(tensor)]
  }
  return read
}

const hex = ({ data }: StoredTensor) => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex')

/** Counts what is read. */
function counted(source: ByteSource): ByteSource & { bytes: number; most: number; closed: number } {
  const counter = {
    ...source,
    bytes: 0,
    most: 0,
    closed: 0,
    read: (offset: number, length: number) => {
      counter.bytes += length
      counter.most = Math.max(counter.most, length)
      return source.read(offset, length)
    },
    close: async () => {
      counter.closed++
    },
  }
  return counter
}

describe('a file of torch.save', () => {
  const names = [
    'dtypes',
    'views',
    'lightning',
    'nested',
    'protocol4',
    'python2',
    'bare',
    'uint16',
    'values2',
    'values4',
    'values5',
  ]

  test.each(names.flatMap((name) => [[name, `${name}.pt`] as const, [name, `${name}-legacy.pt`] as const]))(
    'gives the tensors of %s in %s, to the bit',
    async (name, file) => {
      const checkpoint = await openGolden(file)
      expect(checkpoint.format).toBe(file.includes('legacy') ? 'PyTorch, legacy' : 'PyTorch')
      expect(await contents(checkpoint)).toEqual(expected[name])
    },
  )

  test('is read the same from a Blob', async () => {
    const checkpoint = await openCheckpoint(byteSource(new Blob([fileBytes('views.pt')])))
    expect(await contents(checkpoint)).toEqual(expected.views)
  })

  test('is read the same in pieces of any size', async () => {
    for (const file of ['views.pt', 'views-legacy.pt']) {
      for (const bytes of [1, 8, 20]) {
        const checkpoint = await openGolden(file)
        for (const name of checkpoint.tensors.keys()) {
          let joined = ''
          for await (const piece of checkpoint.pieces(name, bytes)) {
            expect(piece.data.byteLength).toBeLessThanOrEqual(Math.max(bytes, 8))
            joined += hex(piece)
          }
          expect(joined).toBe(expected.views?.[name]?.[2])
        }
      }
    }
  })

  test('lists what it holds beside the tensors', async () => {
    for (const suffix of ['', '-legacy']) {
      expect((await openGolden(`lightning${suffix}.pt`)).others).toEqual([
        ...['epoch', 'global_step', 'pytorch-lightning_version', 'callbacks', 'optimizer_states', 'lr_schedulers'],
        'hyper_parameters',
      ])
      expect((await openGolden(`nested${suffix}.pt`)).others).toEqual(['step'])
    }
  })

  test('runs nothing, and names what it would have run', async () => {
    for (const suffix of ['', '-legacy']) {
      await expect(openGolden(`evil${suffix}.pt`)).rejects.toThrow(/refers to "posix\.system", which is no part/)
      await expect(openGolden(`module${suffix}.pt`)).rejects.toThrow(/"torch\.nn\.modules\.linear\.Linear"/)
      await expect(openGolden(`complex${suffix}.pt`)).rejects.toThrow(/"torch\.ComplexFloatStorage"/)
      await expect(openGolden(`negated${suffix}.pt`)).rejects.toThrow(/to be conjugated or negated/)
    }
    await expect(openGolden('script.pt')).rejects.toThrow(/TorchScript program/)
    expect(existsSync('/tmp/executed-by-a-checkpoint')).toBe(false)
  })

  test('names all that it refers to and may not, at once', async () => {
    for (const suffix of ['', '-legacy']) {
      await expect(openGolden(`unknown${suffix}.pt`)).rejects.toThrow(
        /refers to "argparse\.Namespace", "pathlib\.PurePosixPath", which are no part of a tensor/,
      )
      const checkpoint = await openGolden(`unknown${suffix}.pt`, ['argparse.Namespace', 'pathlib.PurePosixPath'])
      expect(await contents(checkpoint)).toEqual(expected.unknown)
    }
  })

  test('may refer to names that the caller declares inert', async () => {
    const checkpoint = await openGolden('evil.pt', ['posix.system'])
    expect([...checkpoint.tensors.keys()]).toEqual(['w'])
    expect(checkpoint.others).toEqual(['hparams'])
    expect(existsSync('/tmp/executed-by-a-checkpoint')).toBe(false)
    // A tensor cannot be made of what is inert.
    await expect(openGolden('complex.pt', ['torch.ComplexFloatStorage'])).rejects.toThrow(/storage in an unknown way/)
  })

  test('with a damaged element is refused when the element is read, also through a view', async () => {
    const bytes = fileBytes('views.pt')
    const [, , text] = expected.views!.whole!
    const at = Buffer.from(bytes).indexOf(Buffer.from(text, 'hex'))
    bytes[at + 40]! ^= 1
    const checkpoint = await openCheckpoint(byteSource(bytes, 'views.pt'))
    for (const name of ['whole', 'second', 'scalar', 'transposed', 'empty', 'half']) {
      if (['scalar', 'empty', 'half'].includes(name)) await checkpoint.read(name)
      else await expect(checkpoint.read(name)).rejects.toThrow(/checksum of views\/data\/\d+ does not fit its 96 bytes/)
    }
  })

  test('whose checksum could not be read is read again', async () => {
    const bytes = fileBytes('views.pt')
    let fails = false
    const whole = byteSource(bytes, 'views.pt')
    const read: typeof whole.read = async (offset, length) => {
      if (fails) throw new Error('the network is gone')
      return await whole.read(offset, length)
    }
    const checkpoint = await openCheckpoint({ ...whole, read })
    fails = true
    for (const name of checkpoint.tensors.keys()) {
      await expect(checkpoint.read(name)).rejects.toThrow('the network is gone')
    }
    fails = false
    expect(await contents(checkpoint)).toEqual(expected.views)
  })

  test('without checksums is read, as PyTorch can be told to write it', async () => {
    const bytes = Buffer.from(fileBytes('views.pt'))
    for (const [signature, offset] of [
      ['PK\x01\x02', 16],
      ['PK\x07\x08', 4],
    ] as const) {
      for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at + 1)) {
        bytes.fill(0, at + offset, at + offset + 4)
      }
    }
    expect(await contents(await openCheckpoint(byteSource(bytes)))).toEqual(expected.views)
  })
})

describe('a checkpoint', () => {
  const tensors = new Map<string, StoredTensor>([
    ['a', { dtype: 'F32', shape: [1000], data: new Float32Array(1000).fill(1) }],
    ['b', { dtype: 'I64', shape: [2, 500], data: new BigInt64Array(1000).fill(7n) }],
    ['none', { dtype: 'F16', shape: [0, 2], data: new Uint16Array(0) }],
  ])
  const safetensors = writeSafetensors(tensors, { format: 'pt' })

  test('of safetensors gives its tensors and metadata, and reads nothing but what is asked for', async () => {
    const source = counted(byteSource(safetensors, 'model.safetensors'))
    const checkpoint = await openCheckpoint(source)
    expect(checkpoint.format).toBe('safetensors')
    expect(checkpoint.metadata).toEqual({ format: 'pt' })
    expect(source.bytes).toBeLessThan(1000)
    for (const [name, tensor] of tensors) expect(await checkpoint.read(name)).toEqual(tensor)
    expect(source.bytes).toBeLessThan(13_000)
    await checkpoint.close()
    expect(source.closed).toBe(1)
  })

  test.each([
    ['a pickle', 0x80],
    ['a zip', 0x4b50],
  ])('of safetensors is known also where the length of its header begins like %s', async (_, length) => {
    const tensors = new Map([['w', { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) } as const]])
    const headerBytes = (bytes: Uint8Array) =>
      Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
    // The writer pads to multiples of eight: so much padding that the header is as long as asked for.
    const missing = length - headerBytes(writeSafetensors(tensors, { padding: '' }))
    const bytes = writeSafetensors(tensors, { padding: ' '.repeat(missing) })
    expect(headerBytes(bytes)).toBe(length)
    const checkpoint = await openCheckpoint(byteSource(bytes))
    expect(checkpoint.format).toBe('safetensors')
    expect((await checkpoint.read('w')).data).toEqual(Float32Array.of(1, 2))
  })

  test('says which tensors it does not have', async () => {
    const checkpoint = await openCheckpoint(byteSource(safetensors))
    await expect(checkpoint.read('toString')).rejects.toThrow(/no tensor "toString"/)
  })

  test('that cannot be opened closes its source', async () => {
    const source = counted(byteSource(new Uint8Array(100)))
    await expect(openCheckpoint(source)).rejects.toThrow(/neither safetensors nor a PyTorch file/)
    expect(source.closed).toBe(1)
  })

  test('of several files closes all of them, whatever becomes of one', async () => {
    const closed: string[] = []
    const source = (name: string, bytes: Uint8Array) => ({
      ...byteSource(bytes, name),
      close: async () => {
        closed.push(name)
        if (name === 'a') throw new Error('the disk is gone')
      },
    })
    const index = Buffer.from(JSON.stringify({ weight_map: { w: 'a', v: 'b' } }))
    const shard = async (name: string) => {
      const value = { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } as const
      return source(name, writeSafetensors(new Map([[name === 'a' ? 'w' : 'v', value]])))
    }
    const checkpoint = await openCheckpoint(source('index', index), { shard })
    await expect(checkpoint.close()).rejects.toThrow('the disk is gone')
    expect(closed).toEqual(['index', 'a', 'b'])

    const failing = async (name: string) => (name === 'a' ? shard(name) : source('b', new Uint8Array(3)))
    await expect(openCheckpoint(source('index', index), { shard: failing })).rejects.toThrow(
      /Cannot read b: it is neither/,
    )
    expect(closed).toEqual(['index', 'a', 'b', 'index', 'a', 'b'])
  })

  test('gathers a small view of a large storage in bounded memory', async () => {
    const storage = new Float32Array(10 << 20)
    storage.set([1, 2, 3, 4], 2_600_000)
    const root = pickle(dict([text('w'), tensor(storage.length, [3, 4], [2_600_000, 1])]))
    const source = counted(byteSource(legacyFile(root, storage)))
    const checkpoint = await openCheckpoint(source)
    const { data } = await checkpoint.read('w')
    expect([...data]).toEqual([0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0])
    expect(source.most).toBeLessThanOrEqual(2 ** 24)
  })
})

describe('an index of shards', () => {
  const shards: Record<string, Uint8Array> = {
    'model-00001-of-00002.safetensors': writeSafetensors(
      new Map([['a', { dtype: 'F32', shape: [1], data: Float32Array.of(1) }]]),
    ),
    'model-00002-of-00002.safetensors': writeSafetensors(
      new Map([['b.c', { dtype: 'U8', shape: [2], data: Uint8Array.of(2, 3) }]]),
    ),
    'bytes.bin': fileBytes('bare.pt'),
  }
  const index = (map: unknown) => byteSource(Buffer.from(JSON.stringify({ weight_map: map })), 'model.index.json')
  const openIndex = (map: unknown) =>
    openCheckpoint(index(map), {
      shard: async (name) => byteSource(shards[name] ?? new Uint8Array(0), name),
    })
  const map = { a: 'model-00001-of-00002.safetensors', 'b.c': 'model-00002-of-00002.safetensors' }

  test('gives the tensors of all its files, of PyTorch too', async () => {
    const checkpoint = await openIndex({ ...map, '': 'bytes.bin' })
    expect(checkpoint.format).toBe('sharded')
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b.c', ''])
    expect([...(await checkpoint.read('b.c')).data]).toEqual([2, 3])
    expect([...(await checkpoint.read('')).data]).toEqual([0n, 1n, 2n])
  })

  test.each<[string, unknown, RegExp]>([
    ['reaches into another folder', { a: '../secret.safetensors' }, /names the file "\.\.\/secret/],
    ['names a folder', { a: 'sub/model.safetensors' }, /without folders/],
    ['names a folder as Windows does', { a: 'C:\\model.safetensors' }, /without folders/],
    ['names the folder itself', { a: '..' }, /without folders/],
    ['names no file', { a: 3 }, /names the file 3/],
    ['has no map', undefined, /no object "weight_map"/],
    ['lists a tensor that its file lacks', { ...map, d: map.a }, /lack 1 tensors that it lists: "d"/],
    ['does not list a tensor', { a: map.a, 'b.c': map.a, e: map['b.c'] }, /does not list the tensor "b\.c"/],
    ['names an empty file', { a: 'none' }, /none: it is empty/],
  ])('that %s is refused', async (_, weights, message) => {
    await expect(openIndex(weights)).rejects.toThrow(message)
  })

  test('is refused where shards cannot be opened', async () => {
    await expect(openCheckpoint(index(map))).rejects.toThrow(/Pass the option 'shard'/)
  })
})

test('all dtypes of PyTorch that safetensors has are among the goldens', () => {
  const tested = new Set(Object.values(expected).flatMap((file) => Object.values(file).map(([dtype]) => dtype)))
  expect(DTYPE_NAMES.filter((dtype) => !tested.has(dtype))).toEqual(['F8_E5M2', 'F8_E4M3', 'U32', 'U64'])
})
