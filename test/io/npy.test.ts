import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type NpyArray, writeNpy, writeNpz } from '../../src/io/index.ts'
import { readGolden } from '../support/golden.ts'
import { readNpy, readNpz } from '../support/npy.ts'

type Golden = { shape: number[]; bytes: string; file: string } | { texts: string[]; file: string }
const golden = readGolden<{ arrays: Record<string, Golden> }>('npy.json').arrays

const ARRAYS = {
  ...{ BOOL: Uint8Array, U8: Uint8Array, I8: Int8Array, I16: Int16Array, U16: Uint16Array, F16: Uint16Array },
  ...{ I32: Int32Array, U32: Uint32Array, F32: Float32Array, F64: Float64Array, I64: BigInt64Array },
  U64: BigUint64Array,
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(base64, 'base64'))

function arrayOf(dtype: string, record: Golden): NpyArray {
  if ('texts' in record) return record.texts
  const data = new ARRAYS[dtype as keyof typeof ARRAYS](bytesOf(record.bytes).buffer)
  return { dtype, shape: record.shape, data } as NpyArray
}

const anyFloats = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 5 }).chain((shape) => {
  const count = shape.reduce((n, size) => n * size, 1)
  return fc.float32Array({ minLength: count, maxLength: count }).map((data) => ({ shape, data }))
})
const anyTexts = fc.array(
  fc.string({ unit: 'binary' }).filter((text) => !/\0$/.test(text)),
  { maxLength: 5 },
)

describe('a npy file', () => {
  test.each(Object.entries(golden))("is NumPy's own, byte for byte: %s", (dtype, record) => {
    expect(writeNpy(arrayOf(dtype, record))).toEqual(bytesOf(record.file))
  })

  test('covers every dtype that NumPy has', () => {
    expect(Object.keys(golden)).toEqual([...Object.keys(ARRAYS), 'texts', 'no texts'])
  })

  test('holds the elements in order, from any place in memory', () => {
    fc.assert(
      fc.property(anyFloats, fc.integer({ min: 0, max: 3 }), ({ shape, data }, shift) => {
        const moved = new Float32Array(shift + data.length)
        moved.set(data, shift)
        const read = readNpy(writeNpy({ dtype: 'F32', shape, data: moved.subarray(shift) }))
        expect(read).toEqual({ descriptor: '<f4', shape, values: [...data] })
      }),
    )
  })

  test('holds texts of any characters', () => {
    fc.assert(
      fc.property(anyTexts, (texts) => {
        const { shape, values } = readNpy(writeNpy(texts))
        expect(shape).toEqual([texts.length])
        expect(values).toEqual(texts)
      }),
    )
  })

  test('is refused where NumPy could not give back the same', () => {
    const data = new Float32Array(6)
    expect(() => writeNpy({ dtype: 'F32', shape: [2, 2], data })).toThrow(/\[2, 2\] and 6 elements cannot be saved/)
    const deep = { dtype: 'F32', shape: new Array(33).fill(1), data: data.subarray(5) } as const
    expect(() => writeNpy(deep)).toThrow(/at most 32 sizes/)
    expect(() => writeNpy(['a', 'b\0'])).toThrow(/The text "b\\u0000" cannot be saved for NumPy/)
    expect(() => writeNpy(['\ud800'])).toThrow(/well-formed Unicode/)
  })
})

describe('a npz file', () => {
  const anyArrays = fc.dictionary(fc.stringMatching(/^[a-z_]{1,8}$/), fc.oneof(anyFloats, anyTexts), { maxKeys: 4 })

  test('is a zip of stored npy files with right checksums', () => {
    fc.assert(
      fc.property(anyArrays, (record) => {
        const arrays = Object.entries(record).map(([name, array]): [string, NpyArray] => [
          name,
          'data' in array ? { dtype: 'F32', ...array } : array,
        ])
        const read = readNpz(writeNpz(new Map(arrays)))
        expect([...read.keys()]).toEqual(arrays.map(([name]) => name))
        for (const [name, array] of arrays) expect(read.get(name)).toEqual(readNpy(writeNpy(array)))
      }),
    )
  })

  test('has no date of its own', () => {
    const zip = writeNpz(new Map([['a', ['x']]]))
    // Time and date of the first local header, as MS-DOS has them: 0:00 on the first day of 1980.
    expect([...zip.subarray(10, 14)]).toEqual([0, 0, 0x21, 0])
  })

  test('cannot be larger than a zip without 64-bit sizes', () => {
    // Zeros that nobody touches take no memory.
    const half = new Float32Array(2 ** 28)
    const array: NpyArray = { dtype: 'F32', shape: [half.length], data: half }
    const many = new Map(['a', 'b', 'c'].map((name) => [name, array]))
    expect(() => writeNpz(many)).toThrow(
      /3221225472 bytes cannot be written: 2 GiB is the most. Save it as safetensors/,
    )
  })
})
