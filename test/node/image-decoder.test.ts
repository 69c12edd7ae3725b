import fc from 'fast-check'
import { encode } from 'fast-png'
import { describe, expect, test } from 'vitest'
import { openImageDecoder } from '../../src/node/index.ts'
import { jpeg, type Pixels, picture, plain, png } from '../support/image-files.ts'

/** One axis of a triangle filter that widens with the reduction, edges continued; x: [rows, from] to [rows, to]. */
function resampleRows(x: Float64Array, from: number, to: number): Float64Array {
  const scale = from / to
  const support = Math.max(scale, 1)
  const rows = x.length / from
  const out = new Float64Array(rows * to)
  for (let o = 0; o < to; o++) {
    const centre = (o + 0.5) * scale
    let total = 0
    for (let i = Math.floor(centre - support); i <= Math.ceil(centre + support); i++) {
      const weight = Math.max(0, 1 - Math.abs(i + 0.5 - centre) / support)
      total += weight
      const at = Math.min(Math.max(i, 0), from - 1)
      for (let row = 0; row < rows; row++) out[row * to + o] = out[row * to + o]! + weight * x[row * from + at]!
    }
    for (let row = 0; row < rows; row++) out[row * to + o] = out[row * to + o]! / total
  }
  return out
}

const transposed = (x: Float64Array, width: number): Float64Array => {
  const height = x.length / width
  return Float64Array.from(x, (_, i) => x[(i % height) * width + Math.floor(i / height)]!)
}

/** torchvision's Resize(size, antialias) and CenterCrop(size), in float64: planes [C, size, size]. */
function reference({ data, width, height, channels }: Pixels, size: number): number[] {
  const shorter = Math.min(width, height)
  const [w, h] = [Math.floor((width * size) / shorter), Math.floor((height * size) / shorter)]
  const half = (excess: number) => {
    const down = Math.floor(excess / 2)
    return excess % 2 === 1 && down % 2 === 1 ? down + 1 : down
  }
  const [left, top] = [half(w - size), half(h - size)]
  return Array.from({ length: channels }, (_, c) => {
    const plane = Float64Array.from({ length: width * height }, (_, i) => data[i * channels + c]!)
    const resized = transposed(resampleRows(transposed(resampleRows(plane, width, w), w), height, h), h)
    return Array.from({ length: size * size }, (_, i) => {
      const [y, x] = [Math.floor(i / size), i % size]
      return resized[(top + y) * w + left + x]!
    })
  }).flat()
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length)
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0)
}

/** A JPEG whose first table of quantisation is made a comment: it has its end, and cannot be decoded. */
function withoutTable(file: Uint8Array): Uint8Array {
  const damaged = file.slice()
  damaged[file.findIndex((byte, i) => byte === 0xff && file[i + 1] === 0xdb) + 1] = 0xfe
  return damaged
}

describe('openImageDecoder', () => {
  test('resizes the shorter side with a triangle filter and crops the middle, as torchvision does', async () => {
    const side = fc.integer({ min: 4, max: 24 })
    // Reductions by more than about three are two steps in libvips: blocks are averaged first.
    const format = side.chain((size) => fc.tuple(fc.constant(size), fc.integer({ min: 3, max: 3 * size }), fc.nat(40)))
    await fc.assert(
      fc.asyncProperty(format, fc.boolean(), fc.nat(1000), async ([size, shorter, more], upright, seed) => {
        const [width, height] = upright ? [shorter, shorter + more] : [shorter + more, shorter]
        const photo = picture(width, height, 3, (x, y, c) =>
          Math.round(127 + 100 * Math.sin(0.13 * x * (c + 1) + 0.21 * y + seed) + 20 * Math.cos(0.31 * y * x + c)),
        )
        const decode = await openImageDecoder({ size })
        const decoded = await decode(await png(photo), 'a photo')
        // Each axis is rounded to whole levels; 1.44 is the most that 1,500 runs met.
        expect(largest(decoded, reference(photo, size))).toBeLessThan(2)
      }),
      { numRuns: 100 },
    )
  })

  test('crops an odd excess where torchvision does: half of it, rounded to even', async () => {
    const columns = (width: number) => picture(width, 4, 3, (x) => 10 * x)
    const decode = await openImageDecoder({ size: 4 })
    const first = async (width: number) => (await decode(await png(columns(width)), ''))[0]! / 10
    expect([await first(4), await first(5), await first(6), await first(7), await first(9), await first(11)]).toEqual([
      ...[0, 0, 1, 2, 2, 4],
    ])
  })

  test('enlarges of a thin image what is kept of it, and no more', async () => {
    const decode = await openImageDecoder({ size: 64 })
    const level = (place: number) => Math.round(127 + 100 * Math.sin(0.01 * place))
    const [wide, high] = [picture(20_000, 1, 1, (x) => level(x)), picture(1, 20_000, 1, (_x, y) => level(y))]
    // Whole, it would be 64 × 1,280,000 pixels.
    const before = performance.now()
    const [across, down] = [await decode(await png(wide), 'wide'), await decode(await png(high), 'high')]
    expect(performance.now() - before).toBeLessThan(5000)
    // A column of the original is 64 wide, and the middle is between two of them.
    const row = Array.from({ length: 64 }, (_, i) => level(9999) + ((i + 0.5) / 64) * (level(10_000) - level(9999)))
    expect(largest(across.subarray(0, 64), row)).toBeLessThan(0.51)
    for (let y = 0; y < 64; y++) {
      expect([...across.subarray(64 * y, 64 * y + 64)]).toEqual([...across.subarray(0, 64)])
      for (let x = 0; x < 64; x++) expect(down[64 * y + x]).toBe(across[y])
    }
  })

  test('gives planes of red, green and blue, from JPEG as from PNG', async () => {
    const decode = await openImageDecoder({ size: 8 })
    for (const file of [await png(plain(200, 100, 50)), await jpeg(plain(200, 100, 50))]) {
      const planes = await decode(file, 'plain')
      expect(planes).toHaveLength(192)
      for (const [c, value] of [200, 100, 50].entries()) {
        expect(largest(planes.subarray(64 * c, 64 * c + 64), Array(64).fill(value))).toBeLessThan(3)
      }
    }
  })

  test("turns pictures as EXIF's orientation says before it measures them", async () => {
    // Left half black, right half white, twice as wide as high.
    const halves = picture(32, 16, 3, (x) => (x < 16 ? 0 : 255))
    const decode = await openImageDecoder({ size: 8 })
    const corner = async (orientation: number) => {
      const planes = await decode(await jpeg(halves, orientation), '')
      const bright = (y: number, x: number) => (planes[y * 8 + x]! > 128 ? 1 : 0)
      return [bright(0, 0), bright(0, 7), bright(7, 0), bright(7, 7)]
    }
    // Top left, top right, bottom left, bottom right.
    expect(await corner(1)).toEqual([0, 1, 0, 1])
    expect(await corner(2)).toEqual([1, 0, 1, 0])
    expect(await corner(3)).toEqual([1, 0, 1, 0])
    expect(await corner(6)).toEqual([0, 0, 1, 1])
    expect(await corner(8)).toEqual([1, 1, 0, 0])
  })

  test('makes RGB of grey and grey of RGB', async () => {
    const grey = picture(8, 8, 1, (x, y) => 20 * x + y)
    const rgb = await (await openImageDecoder({ size: 8 }))(await png(grey), '')
    for (let c = 0; c < 3; c++) expect([...rgb.subarray(64 * c, 64 * c + 64)]).toEqual([...grey.data])
    const one = await openImageDecoder({ size: 8, channels: 1 })
    expect([...(await one(await png(grey), ''))]).toEqual([...grey.data])
    const luminance = async (...colour: [number, number, number]) => (await one(await png(plain(...colour)), ''))[0]!
    expect(await luminance(90, 90, 90)).toBe(90)
    expect(await luminance(0, 255, 0)).toBeGreaterThan(await luminance(255, 0, 0))
    expect(await luminance(255, 0, 0)).toBeGreaterThan(await luminance(0, 0, 255))
  })

  test('lays transparent pixels over black, and takes 16 bits and raw pixels', async () => {
    const decode = await openImageDecoder({ size: 4 })
    const glass = picture(4, 4, 4, (_x, _y, c) => [200, 100, 50, 128][c]!)
    const blended = await decode(await png(glass), '')
    expect(largest([blended[0]!, blended[16]!, blended[32]!], [100, 50, 25])).toBeLessThan(2)
    const deep = encode({ width: 4, height: 4, channels: 3, depth: 16, data: new Uint16Array(48).fill(40_000) })
    expect(largest(await decode(new Uint8Array(deep), ''), Array(48).fill(40_000 / 257))).toBeLessThan(1)
    const raw = plain(1, 2, 3, 4, 4)
    expect([...(await decode({ ...raw, channels: 3 }, ''))]).toEqual([1, 2, 3].flatMap((v) => Array(16).fill(v)))
  })

  test('refuses truncated and foreign files, by their names', async () => {
    const decode = await openImageDecoder({ size: 8 })
    const noise = picture(64, 64, 3, (x, y, c) => (x * 37 + y * 91 + c * 17 + x * y * 13) % 256)
    for (const file of [await jpeg(noise), await png(noise)]) {
      await expect(decode(file.subarray(0, file.length / 2), 'cats/tom.jpg')).rejects.toMatchObject({
        code: 'data',
        message: expect.stringMatching(
          /^Cannot read the image cats\/tom.jpg: the file is cut short, its end is missing.*\. Repair or remove it/,
        ),
      })
    }
    for (const file of [new Uint8Array(0), new TextEncoder().encode('<html>not found</html>')]) {
      await expect(decode(file, 'cats/tom.jpg')).rejects.toThrow(/Cannot read the image cats\/tom.jpg/)
    }
  })

  test('says what is wrong with an image also where others are decoded at once', async () => {
    const decode = await openImageDecoder({ size: 8 })
    const whole = await jpeg(picture(400, 300, 3, (x, y, c) => (x * 37 + y * 91 + c * 17 + x * y * 13) % 256))
    const half = whole.subarray(0, whole.length / 2)
    const damaged = withoutTable(whole)
    const reasons = new Set<string>()
    for (let round = 0; round < 8; round++) {
      const files = Array.from({ length: 16 }, (_, i) => [half, damaged, whole, whole][i % 4]!)
      const failed = await Promise.allSettled(files.map((file) => decode(file, 'x')))
      for (const result of failed) if (result.status === 'rejected') reasons.add((result.reason as Error).message)
    }
    expect(reasons.size).toBeGreaterThan(1)
    for (const reason of reasons) expect(reason).toMatch(/cut short|VipsJpeg|data is damaged/)
  })

  test('a file that only lacks its end is told from a damaged one', async () => {
    const decode = await openImageDecoder({ size: 8 })
    const damaged = withoutTable(await jpeg(plain(200, 100, 50)))
    for (const file of [damaged, Uint8Array.of(...damaged, 0, 0, 0)]) {
      await expect(decode(file, 'x')).rejects.toThrow(/^Cannot read the image x: (?!the file is cut short)/)
    }
    await expect(decode(damaged.subarray(0, -1), 'x')).rejects.toThrow(/cut short/)
  })

  test('refuses sizes and channels that cannot be', async () => {
    await expect(openImageDecoder({ size: 0 })).rejects.toThrow(/a size of 0/)
    await expect(openImageDecoder({ size: 2.5 })).rejects.toThrow(/a size of 2.5/)
    await expect(openImageDecoder({ size: 4, channels: 4 as 3 })).rejects.toThrow(/to 4 channels/)
  })
})
