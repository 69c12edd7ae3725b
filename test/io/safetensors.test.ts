import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { DTYPE_NAMES, readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../../src/io/index.ts'

const ARRAYS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  F8_E5M2: Uint8Array,
  F8_E4M3: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
}

const anyTensor: fc.Arbitrary<StoredTensor> = fc
  .tuple(fc.constantFrom(...DTYPE_NAMES), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const bytes = shape.reduce((a, b) => a * b, 1) * ARRAYS[dtype].BYTES_PER_ELEMENT
    return fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((raw) => {
      const data = new ARRAYS[dtype](new Uint8Array(raw).buffer)
      return { dtype, shape, data } as StoredTensor
    })
  })

const anyName = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', 'constructor', '0', '1', 'a"b\\c', 'model.diffusion_model.out.2.weight', '{', 'a}:"'),
)
const anyTensors = fc.array(fc.tuple(anyName, anyTensor), { maxLength: 6 }).map((entries) => new Map(entries))
const anyMetadata = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }))

/** A safetensors file with any header text and any number of data bytes. */
function file(header: string | object, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + text.length + dataBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true)
  bytes.set(text, 8)
  return bytes
}

const tensor = (begin: number, end: number, shape = [end - begin]) => ({
  dtype: 'U8',
  shape,
  data_offsets: [begin, end],
})

const rawBytes = ({ data }: StoredTensor) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

describe('safetensors', () => {
  test('come back as they were written, from any place in memory', () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, fc.integer({ min: 0, max: 9 }), (tensors, metadata, shift) => {
        const written = writeSafetensors(tensors, metadata)
        const moved = new Uint8Array(shift + written.length)
        moved.set(written, shift)
        const read = readSafetensors(moved.subarray(shift))
        expect([...read.tensors.keys()].sort()).toEqual([...tensors.keys()].sort())
        for (const [name, expected] of tensors) {
          const found = read.tensors.get(name)!
          expect(found.dtype).toBe(expected.dtype)
          expect(found.shape).toEqual(expected.shape)
          expect(found.data.constructor).toBe(expected.data.constructor)
          expect(rawBytes(found)).toEqual(rawBytes(expected))
        }
        expect(Object.entries(read.metadata).sort()).toEqual(Object.entries(metadata).sort())
      }),
    )
  })

  test('are the same bytes whatever the order of the map, each tensor aligned after an 8-byte-aligned header', () => {
    fc.assert(
      fc.property(anyTensors, (tensors) => {
        const written = writeSafetensors(tensors)
        expect(writeSafetensors(new Map([...tensors].reverse()))).toEqual(written)
        expect(new DataView(written.buffer).getBigUint64(0, true) % 8n).toBe(0n)
        // Aligned tensors are views, so that reading a checkpoint does not double its memory.
        for (const { data } of readSafetensors(written).tensors.values()) expect(data.buffer).toBe(written.buffer)
      }),
    )
  })

  test('match what the reference implementation writes, byte for byte', () => {
    const tensors = new Map<string, StoredTensor>([
      ['b.weight', { dtype: 'F32', shape: [2], data: new Float32Array([1, -2.5]) }],
      ['mask', { dtype: 'U8', shape: [3], data: new Uint8Array([1, 2, 3]) }],
      ['a.bias', { dtype: 'F32', shape: [], data: new Float32Array([0.5]) }],
      ['steps', { dtype: 'I64', shape: [1, 1], data: new BigInt64Array([1000n]) }],
    ])
    // Made by safetensors 0.8.0 for Python: safetensors.numpy.save(tensors, {'format': 'pt'}).
    const header =
      '{"__metadata__":{"format":"pt"},"steps":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},' +
      '"a.bias":{"dtype":"F32","shape":[],"data_offsets":[8,12]},' +
      '"b.weight":{"dtype":"F32","shape":[2],"data_offsets":[12,20]},' +
      '"mask":{"dtype":"U8","shape":[3],"data_offsets":[20,23]}}    '
    const data = 'e8030000000000000000003f0000803f000020c0010203'
    const expected = `1001000000000000${Buffer.from(header).toString('hex')}${data}`
    expect(Buffer.from(writeSafetensors(tensors, { format: 'pt' })).toString('hex')).toBe(expected)
  })

  test('of a damaged file are refused with the code data, never with another error', () => {
    const mutation = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
    fc.assert(
      fc.property(anyTensors, fc.array(mutation, { minLength: 1, maxLength: 8 }), fc.nat(), (tensors, edits, cut) => {
        const bytes = writeSafetensors(tensors, { format: 'pt' })
        for (const [at, value] of edits) bytes[at % bytes.length] = value
        const kept = cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes
        expectDataErrorOrSuccess(() => readSafetensors(kept))
      }),
      { numRuns: 2000 },
    )
  })

  test('of arbitrary JSON headers are refused with the code data, never with another error', () => {
    const entry = fc.oneof(
      fc.record({
        dtype: fc.oneof(fc.constantFrom('F32', 'U8'), fc.jsonValue()),
        shape: fc.oneof(fc.array(fc.oneof(fc.nat(8), fc.double(), fc.constant(2 ** 53 - 1)))),
        data_offsets: fc.oneof(fc.tuple(fc.nat(64), fc.nat(64)), fc.jsonValue()),
      }),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(fc.oneof(fc.dictionary(fc.string(), entry), fc.jsonValue()), fc.nat(64), (header, dataBytes) => {
        expectDataErrorOrSuccess(() => readSafetensors(file(JSON.stringify(header), dataBytes)))
      }),
      { numRuns: 1000 },
    )
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['is shorter than its first number', new Uint8Array(5), /5 bytes, and 8 are needed/],
    [
      'ends inside its header',
      file({ a: tensor(0, 1) }, 1).subarray(0, 20),
      /header should have \d+ bytes, but only 12/,
    ],
    ['announces a header of 2⁶⁴−1 bytes', new Uint8Array(16).fill(255), /18446744073709551615 bytes/],
    ['has no header', file(''), /does not start with '{'/],
    ['has a header that is an array', file('[]'), /does not start with '{'/],
    ['has a header that is not JSON', file('{"a":'), /is not JSON/],
    ['has a header that is not UTF-8', withByte(file('{"a?":{}}'), 11, 0xff), /is not UTF-8/],
    ['names a tensor twice', file(`{"a":${spell(tensor(0, 1))},"\\u0061":${spell(tensor(1, 2))}}`, 2), /key "a" twice/],
    [
      'gives a tensor two shapes',
      file('{"a":{"dtype":"U8","shape":[1],"shape" :[1],"data_offsets":[0,1]}}', 1),
      /"shape" twice/,
    ],
    ['describes a tensor by a number', file({ a: 1 }), /"a" is not described by an object/],
    ['has an unknown dtype', file({ a: { ...tensor(0, 1), dtype: 'F31' } }, 1), /has dtype "F31", but known are BOOL/],
    ['has a dtype named like a method', file({ a: { ...tensor(0, 1), dtype: 'toString' } }, 1), /has dtype "toString"/],
    ['has no dtype', file({ a: { shape: [1], data_offsets: [0, 1] } }, 1), /has dtype nowhere/],
    [
      'has a negative size',
      file({ a: tensor(0, 1, [-1, -1]) }, 1),
      /shape that is not an array of at most 64 whole numbers/,
    ],
    ['has the size −0', file('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}'), /shape that is not/],
    ['has 65 dimensions', file({ a: tensor(0, 1, new Array(65).fill(1)) }, 1), /at most 64 whole numbers/],
    [
      'has a fractional size',
      file({ a: tensor(0, 1, [1.5]) }, 1),
      /shape that is not an array of at most 64 whole numbers/,
    ],
    ['has a shape beyond 2⁵³', file({ a: tensor(0, 1, [2 ** 40, 2 ** 40, 0]) }, 1), /or too large/],
    ['has one offset', file({ a: { ...tensor(0, 1), data_offsets: [0] } }, 1), /not two whole numbers/],
    ['has offsets as text', file({ a: { ...tensor(0, 1), data_offsets: ['0', '1'] } }, 1), /not two whole numbers/],
    ['has offsets in reverse', file({ a: { ...tensor(0, 1), data_offsets: [1, 0] } }, 1), /needs 1 bytes.*hold -1/],
    ['has a shape that does not fit its bytes', file({ a: tensor(0, 4, [3]) }, 4), /U8 \[3\] needs 3 bytes.*hold 4/],
    ['has overlapping tensors', file({ a: tensor(0, 2), b: tensor(1, 3) }, 3), /"b" at bytes 1 to 3 overlaps/],
    ['has a gap between tensors', file({ a: tensor(0, 2), b: tensor(3, 4) }, 4), /"b" at bytes 3 to 4 leaves a gap/],
    ['has tensors beyond its end', file({ a: tensor(0, 9) }, 8), /reaches beyond the 8 bytes of data/],
    ['has bytes that belong to no tensor', file({ a: tensor(0, 2) }, 3), /end at byte 2, but 3 bytes of data/],
    ['has a number in its metadata', file({ __metadata__: { a: 1 } }), /not an object of strings/],
    ['has a name that is half a character', file('{"\\ud800":{}}'), /not well-formed Unicode/],
  ])('of a file that %s are refused', (_, bytes, message) => {
    expect(() => readSafetensors(bytes, 'model.safetensors')).toThrow(message)
    expect(() => readSafetensors(bytes, 'model.safetensors')).toThrow(/model\.safetensors/)
    expectDataErrorOrSuccess(() => readSafetensors(bytes))
  })

  test('are not written when a tensor contradicts itself', () => {
    const write = (name: string, bad: object) => () => writeSafetensors(new Map([[name, bad as StoredTensor]]))
    const data = new Float32Array(6)
    expect(write('a', { dtype: 'F32', shape: [2, 2], data })).toThrow(/\[2, 2\] \(4 elements\), but its data has 6/)
    expect(write('a', { dtype: 'F32', shape: [-6], data })).toThrow(/\[-6\], but its data has 6/)
    expect(write('a', { dtype: 'I32', shape: [6], data })).toThrow(/holds a Float32Array; expected a Int32Array/)
    expect(write('a', { dtype: 'F31', shape: [6], data })).toThrow(/unknown dtype "F31"/)
    expect(write('__metadata__', { dtype: 'F32', shape: [6], data })).toThrow(/cannot be named "__metadata__"/)
    expect(() => writeSafetensors(new Map(), { epoch: 3 as unknown as string })).toThrow(/"epoch" is a number/)
  })
})

describe('toFloat32', () => {
  test('decodes every half-precision number', () => {
    const bits = Uint16Array.of(
      0x0000,
      0x8000,
      0x3c00,
      0xc000,
      0x7bff,
      0x0400,
      0x0001,
      0x83ff,
      0x7c00,
      0xfc00,
      0x7e00,
      0x3555,
    )
    expect([...toFloat32({ dtype: 'F16', shape: [12], data: bits })]).toEqual([
      0,
      -0,
      1,
      -2,
      65504,
      2 ** -14,
      2 ** -24,
      -1023 * 2 ** -24,
      Infinity,
      -Infinity,
      NaN,
      0.333251953125,
    ])
  })

  test('decodes bfloat16 as the upper half of an f32', () => {
    const data = Uint16Array.of(0x3f80, 0xc020, 0x7f80)
    expect([...toFloat32({ dtype: 'BF16', shape: [3], data })]).toEqual([1, -2.5, Infinity])
  })

  test('gives f32 without a copy, rounds f64, and refuses 64-bit integers', () => {
    const data = Float32Array.of(1, 2)
    expect(toFloat32({ dtype: 'F32', shape: [2], data })).toBe(data)
    expect([...toFloat32({ dtype: 'F64', shape: [1], data: Float64Array.of(0.1) })]).toEqual([Math.fround(0.1)])
    expect(() => toFloat32({ dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) })).toThrow(
      /dtype I64 and shape \[1\]/,
    )
  })
})

function expectDataErrorOrSuccess(read: () => unknown): void {
  try {
    read()
  } catch (error) {
    expect(error).toBeInstanceOf(Ld3mError)
    expect((error as Ld3mError).code).toBe('data')
  }
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  bytes[at] = value
  return bytes
}

function spell(value: object): string {
  return JSON.stringify(value)
}
