import { deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Ld3mError } from '../../src/errors.ts'
import { decodePng, encodePng, imageGrid, type PngImage } from '../../src/io/index.ts'
import { crc32 } from '../support/zip.ts'

const anyImage: fc.Arbitrary<PngImage> = fc
  .tuple(fc.constantFrom(1, 2, 3, 4), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([channels, width, height]) => {
    const length = width * height * channels
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({
      width,
      height,
      channels: channels as PngImage['channels'],
      data: new Uint8Array(data),
    }))
  })

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, data.length)
  bytes.set(new TextEncoder().encode(type), 4)
  bytes.set(data, 8)
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)))
  return bytes
}

interface RawPng {
  width: number
  height: number
  depth: number
  colorType: number
  rows: number[]
  interlace?: number
  palette?: number[]
}

/** A PNG file of any kind; `rows` are its filtered scan lines. */
function rawPng({ width, height, depth, colorType, rows, interlace = 0, palette }: RawPng): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  header.set([depth, colorType, 0, 0, interlace], 8)
  return Uint8Array.of(
    ...[0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10],
    ...chunk('IHDR', header),
    ...(palette ? chunk('PLTE', Uint8Array.from(palette)) : []),
    ...chunk('IDAT', new Uint8Array(deflateSync(Uint8Array.from(rows)))),
    ...chunk('IEND', new Uint8Array(0)),
  )
}

describe('decodePng', () => {
  test('gives back what encodePng wrote', () => {
    fc.assert(
      fc.property(anyImage, (image) => {
        expect(decodePng(encodePng(image))).toEqual(image)
      }),
    )
  })

  test('spreads packed 2-bit greys over 0 to 255, row by row', () => {
    const png = rawPng({
      width: 5,
      height: 2,
      depth: 2,
      colorType: 0,
      rows: [0, 0b00011011, 0b11000000, 0, 0xff, 0xff],
    })
    expect(decodePng(png)).toEqual({
      width: 5,
      height: 2,
      channels: 1,
      data: Uint8Array.of(0, 85, 170, 255, 255, 255, 255, 255, 255, 255),
    })
  })

  test('rounds 16-bit samples to 8 bits', () => {
    const png = rawPng({ width: 3, height: 1, depth: 16, colorType: 0, rows: [0, 0x00, 0x80, 0x80, 0x80, 0xff, 0xff] })
    expect(decodePng(png).data).toEqual(Uint8Array.of(0, 128, 255))
  })

  test('turns a palette into RGB', () => {
    const palette = [255, 0, 0, 0, 0, 255]
    const png = rawPng({ width: 3, height: 1, depth: 1, colorType: 3, rows: [0, 0b01000000], palette })
    expect(decodePng(png)).toMatchObject({ channels: 3, data: Uint8Array.of(255, 0, 0, 0, 0, 255, 255, 0, 0) })
  })

  const grey = rawPng({ width: 2, height: 2, depth: 8, colorType: 0, rows: [0, 1, 2, 0, 3, 4] })
  test.each<[string, Uint8Array, RegExp]>([
    ['is a JPEG', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0), /not a PNG file/],
    ['is empty', new Uint8Array(0), /not a PNG file/],
    ['ends after its signature', grey.subarray(0, 8), /header is missing/],
    ['ends inside its pixels', grey.subarray(0, 50), /PNG data is damaged/],
    ['has a wrong checksum', grey.map((byte, i) => (i === 44 ? byte ^ 1 : byte)), /PNG data is damaged/],
    [
      'has fewer pixels than announced',
      rawPng({ width: 2, height: 3, depth: 8, colorType: 0, rows: [0, 1, 2] }),
      /damaged/,
    ],
    [
      'announces more than it can hold',
      rawPng({ width: 2 ** 31, height: 2 ** 31, depth: 8, colorType: 0, rows: [0] }),
      /cannot hold its announced 2147483648×2147483648 pixels/,
    ],
    [
      'is interlaced with 4 bits a sample',
      rawPng({ width: 1, height: 1, depth: 4, colorType: 0, rows: [0, 0], interlace: 1 }),
      /interlaced with 4 bits/,
    ],
  ])('refuses a file that %s', (_, bytes, message) => {
    expect(() => decodePng(bytes, 'cat.png')).toThrow(message)
    expect(() => decodePng(bytes, 'cat.png')).toThrow(/Cannot read cat\.png/)
  })

  test('answers any damage with the code data, never with another error', () => {
    const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(anyImage, edits, (image, changes) => {
        const bytes = encodePng(image)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        try {
          decodePng(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(Ld3mError)
          expect((error as Ld3mError).code).toBe('data')
        }
      }),
      { numRuns: 1000 },
    )
  })
})

describe('encodePng', () => {
  test('refuses samples that do not fit the size', () => {
    expect(() => encodePng({ width: 2, height: 2, channels: 3, data: new Uint8Array(11) })).toThrow(
      /cannot hold 11 samples/,
    )
    expect(() => encodePng({ width: 0, height: 2, channels: 3, data: new Uint8Array(0) })).toThrow(/0×2 pixels/)
  })
})

describe('imageGrid', () => {
  test('shows every pixel of every image at its place, enlarged without smoothing', () => {
    const sizes = fc.record({
      count: fc.integer({ min: 1, max: 7 }),
      channels: fc.constantFrom(1, 3),
      height: fc.integer({ min: 1, max: 4 }),
      width: fc.integer({ min: 1, max: 4 }),
      columns: fc.integer({ min: 1, max: 8 }),
      padding: fc.integer({ min: 0, max: 3 }),
      scale: fc.integer({ min: 1, max: 3 }),
    })
    fc.assert(
      fc.property(sizes, ({ count, channels, height, width, columns, padding, scale }) => {
        const images = Float32Array.from(
          { length: count * channels * height * width },
          (_, i) => ((i * 37) % 256) / 255,
        )
        const png = decodePng(imageGrid({ images, shape: [count, channels, height, width], columns, padding, scale }))
        expect(png.channels).toBe(channels)
        expect(png.width).toBe(Math.min(columns, count) * (width * scale + padding) + padding)
        expect(png.height).toBe(Math.ceil(count / columns) * (height * scale + padding) + padding)
        let drawn = 0
        for (let n = 0; n < count; n++) {
          const top = padding + Math.floor(n / columns) * (height * scale + padding)
          const left = padding + (n % columns) * (width * scale + padding)
          for (let c = 0; c < channels; c++) {
            for (let y = 0; y < height * scale; y++) {
              for (let x = 0; x < width * scale; x++, drawn++) {
                const plane = (n * channels + c) * height
                const expected = images[(plane + Math.floor(y / scale)) * width + Math.floor(x / scale)]! * 255
                expect(png.data[((top + y) * png.width + left + x) * channels + c]).toBe(Math.round(expected))
              }
            }
          }
        }
        expect(drawn).toBe(images.length * scale * scale)
      }),
    )
  })

  test('is square, white between images and two pixels apart when nothing else is asked', () => {
    const png = decodePng(imageGrid({ images: new Float32Array(5), shape: [5, 1, 1, 1] }))
    expect([png.width, png.height]).toEqual([11, 8])
    expect([...png.data].filter((value) => value === 0)).toHaveLength(5)
    expect(png.data.filter((value) => value === 255)).toHaveLength(11 * 8 - 5)
  })

  test('takes its defaults where an option is undefined', () => {
    const images = { images: Float32Array.of(0, 1), shape: [2, 1, 1, 1] }
    const undefinedOnes = { padding: undefined, scale: undefined, background: undefined, columns: undefined }
    expect(imageGrid({ ...images, ...undefinedOnes } as never)).toEqual(imageGrid(images))
  })

  test('clamps values outside [0, 1]', () => {
    const png = decodePng(imageGrid({ images: Float32Array.of(-0.5, 1.5), shape: [2, 1, 1, 1], padding: 0 }))
    expect([...png.data]).toEqual([0, 255])
  })

  test('refuses NaN, shapes that do not fit and options out of range', () => {
    const images = Float32Array.of(0, NaN)
    expect(() => imageGrid({ images, shape: [2, 1, 1, 1] })).toThrow(/image 1 has the value NaN/)
    expect(() => imageGrid({ images, shape: [1, 2, 1, 1] })).toThrow(/\[N, C, H, W\] with C = 1 or 3/)
    expect(() => imageGrid({ images, shape: [3, 1, 1, 1] })).toThrow(
      /has 2 values, but shape \[3, 1, 1, 1\] asks for 3/,
    )
    const good = { images: new Float32Array(1), shape: [1, 1, 1, 1] }
    expect(() => imageGrid({ ...good, columns: 0 })).toThrow(/columns is 0/)
    expect(() => imageGrid({ ...good, scale: 1.5 })).toThrow(/scale is 1.5/)
    expect(() => imageGrid({ ...good, padding: -1 })).toThrow(/padding is -1/)
    expect(() => imageGrid({ ...good, background: 2 })).toThrow(/background is 2/)
    expect(() => imageGrid({ ...good, colums: 3 } as typeof good)).toThrow(/unknown option 'colums'/)
  })
})
