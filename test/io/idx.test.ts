import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { readIdx, writeIdx } from '../../src/io/index.ts'

const gzip = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes))
const ramp = (count: number) => Uint8Array.from({ length: count }, (_, i) => (i * i) % 251)
const sample = writeIdx({ shape: [4, 3, 2], data: ramp(24) })
/** Large enough that it decompresses in several pieces. */
const large = writeIdx({ shape: [200, 28, 28], data: ramp(200 * 784) })

const anyArray = fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }).chain((shape) => {
  const count = shape.reduce((a, b) => a * b, 1)
  return fc.uint8Array({ minLength: count, maxLength: count }).map((data) => ({ shape, data: new Uint8Array(data) }))
})

describe('readIdx', () => {
  test('gives back what writeIdx wrote, gzipped or not', async () => {
    await fc.assert(
      fc.asyncProperty(anyArray, async (array) => {
        const bytes = writeIdx(array)
        expect(await readIdx(bytes)).toEqual(array)
        expect(await readIdx(gzip(bytes))).toEqual(array)
      }),
    )
    expect(await readIdx(gzip(large))).toEqual({ shape: [200, 28, 28], data: ramp(200 * 784) })
  })

  test('reads the layout that MNIST documents: magic number, big-endian sizes, bytes', async () => {
    const bytes = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 255)
    expect(await readIdx(bytes)).toEqual({ shape: [1, 2], data: Uint8Array.of(7, 255) })
  })

  test('does not share memory with the file', async () => {
    const bytes = Buffer.from(sample)
    const { data } = await readIdx(bytes)
    bytes.fill(0)
    expect(data).toEqual(ramp(24))
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['is empty', new Uint8Array(0), /0 bytes, fewer than the format's magic number/],
    ['is a PNG', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10), /starts with bytes 89 50 4e 47/],
    ['holds floats', Uint8Array.of(0, 0, 0x0d, 1, 0, 0, 0, 0), /holds 32-bit floats/],
    ['has an unknown type', Uint8Array.of(0, 0, 0x42, 1, 0, 0, 0, 0), /element type 42 is unknown/],
    ['has no dimensions', Uint8Array.of(0, 0, 8, 0, 1), /no dimensions/],
    ['ends inside its sizes', sample.subarray(0, 10), /ends after 10 bytes, inside the sizes of its 3 dimensions/],
    ['has a shape beyond 2⁵³', Uint8Array.of(0, 0, 8, 2, ...new Uint8Array(8).fill(255)), /is too large/],
    ['is truncated', sample.subarray(0, 30), /\[4, 3, 2\] asks for 40 bytes with the header, but it has 30/],
    ['has bytes too many', Uint8Array.of(...sample, 1), /asks for 40 bytes with the header, but it has 41/],
    ['is gzipped and truncated', gzip(large).subarray(0, 300), /gzip data is damaged or truncated/],
    ['is gzipped and lacks its last byte', gzip(sample).subarray(0, -1), /gzip data is damaged or truncated/],
    ['is gzip of something too short', gzip(Uint8Array.of(1, 2)), /2 bytes, fewer than/],
    ['is gzip of something foreign', gzip(new Uint8Array(1000).fill(65)), /starts with bytes 41 41 41 41/],
    [
      'is gzip of too little',
      gzip(large.subarray(0, 50_000)),
      /asks for 156816 bytes with the header, but it has 50000/,
    ],
  ])('refuses a file that %s', async (_, bytes, message) => {
    const error = await readIdx(bytes, 'train-images').catch((e: unknown) => e)
    expect(error).toBeInstanceOf(Ld3mError)
    expect((error as Ld3mError).code).toBe('data')
    expect((error as Ld3mError).message).toMatch(message)
    expect((error as Ld3mError).message).toContain('train-images')
  })

  test('stops a gzip bomb at the size that its header announces', async () => {
    const bomb = new Uint8Array(64 * 2 ** 20)
    bomb.set(sample)
    await expect(readIdx(gzip(bomb))).rejects.toThrow(/asks for 40 bytes with the header, but it decompresses to more/)
  })

  test('answers any damage with the code data or an array that fits its shape', async () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(fc.boolean(), edits, async (compressed, changes) => {
        const bytes = compressed ? gzip(sample) : sample.slice()
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        const result = await readIdx(bytes).catch((error: unknown) => error)
        if (result instanceof Error) expect((result as Ld3mError).code).toBe('data')
        else expect(result).toMatchObject({ shape: expect.any(Array), data: expect.any(Uint8Array) })
      }),
      { numRuns: 500 },
    )
  })
})

describe('writeIdx', () => {
  test('refuses a shape that does not fit the bytes', () => {
    expect(() => writeIdx({ shape: [2, 2], data: new Uint8Array(5) })).toThrow(/\[2, 2\] cannot hold 5 bytes/)
    expect(() => writeIdx({ shape: [], data: new Uint8Array(1) })).toThrow(/1 to 255 dimensions/)
  })
})
