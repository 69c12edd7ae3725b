import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  datasetFromParquet,
  datasetOfParquetImages,
  inMemory,
  type ParquetDatasetOptions,
} from '../../src/data/index.ts'
import { type ByteSource, openParquetImages } from '../../src/io/index.ts'
import { type ParquetOptions, parquet } from '../support/image-files.ts'

/** "Encoded" images: 12 to 40 bytes that say which they are. */
const encoded = (n: number) => Uint8Array.from({ length: 12 + (n % 29) }, (_, i) => (i === 0 ? n : (n * i) % 256))
const rows = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ image: encoded(from + i), label: (from + i) % 3 }))

/** A file in memory, with a record of what was read of it. */
function fileOf(bytes: Uint8Array, name = 'x.parquet') {
  const read = async (offset: number, length: number) => {
    file.bytesRead += length
    return bytes.subarray(offset, offset + length)
  }
  const file: ByteSource & { bytesRead: number } = { name, size: bytes.length, bytesRead: 0, read }
  return file
}

const options = (over: Partial<ParquetDatasetOptions> = {}): ParquetDatasetOptions => ({
  ...{ name: 'set', channels: 1, height: 2, width: 2 },
  decode: async (bytes) => bytes.slice(0, 4),
  ...over,
})
const of = (...files: Uint8Array[]) => files.map((bytes, i) => fileOf(bytes, `part-${i}.parquet`))
const firstBytes = (images: Uint8Array) => [...images].filter((_, i) => i % 4 === 0)

describe('openParquetImages', () => {
  test.each<[string, ParquetOptions]>([
    ['one group', {}],
    ['groups of seven rows', { rowGroupSize: 7 }],
    ['small pages with an index', { pageSize: 100 }],
    ['small pages without an index', { pageSize: 100, offsetIndex: false }],
    ['no compression', { codec: 'UNCOMPRESSED' }],
    ['gzip, which is loaded for it', { codec: 'GZIP' }],
  ])('reads labels and any rows: %s', async (_, how) => {
    const file = await openParquetImages(fileOf(parquet(rows(30), how)))
    expect(file.labels).toEqual(rows(30).map(({ label }) => label))
    for (const [start, end] of [
      [0, 30],
      [6, 8],
      [29, 30],
    ] as const) {
      const images = await file.images(start, end)
      expect(images.map((image) => [...image])).toEqual(rows(end - start, start).map(({ image }) => [...image]))
    }
    expect(file.pieces[0]).toBe(0)
    expect(file.pieces.at(-1)).toBe(30)
  })

  test('leaves images alone until they are asked for', async () => {
    const big = Array.from({ length: 40 }, (_, n) => ({
      label: 0,
      image: Uint8Array.from({ length: 100_000 }, (_, i) => (i * i * 7 + i * n) % 251),
    }))
    const file = fileOf(parquet(big, { codec: 'UNCOMPRESSED', pageSize: 100_000 }))
    const images = await openParquetImages(file)
    // The reader fetches the file's last half megabyte for its metadata.
    expect(file.bytesRead).toBeLessThan(700_000)
    expect(images.pieces.length).toBeGreaterThan(3)
    const before = file.bytesRead
    await images.images(3, 4)
    expect(file.bytesRead - before).toBeLessThan(400_000)
  })

  test('finds its columns by the features, by their layout, or as it is told', async () => {
    const names = ['x', 'y', 'z']
    const featured = await openParquetImages(
      fileOf(parquet(rows(4), { image: 'img', label: 'kind', classNames: names })),
    )
    expect(featured.classNames).toEqual(names)
    expect(featured.labels).toEqual([0, 1, 2, 0])
    const bare = fileOf(parquet(rows(4), { image: 'picture', label: 'kind' }), 'a.parquet')
    await expect(openParquetImages(bare)).rejects.toMatchObject({
      code: 'data',
      message: expect.stringMatching(/a.parquet has no label columns.*option labelColumn: there are picture, kind/),
    })
    expect((await openParquetImages(bare, { label: 'kind' })).labels).toEqual([0, 1, 2, 0])
    await expect(openParquetImages(bare, { label: 'sort' })).rejects.toThrow(/has no column 'sort'/)
    await expect(openParquetImages(bare, { images: 'x' } as object)).rejects.toThrow(/unknown option 'images'.*'image'/)
  })

  test('refuses metadata that names classes by anything but texts', async () => {
    for (const classNames of ['abc', { x: 0 }, [0, 1, 2]]) {
      const file = fileOf(parquet(rows(3), { classNames: classNames as never }))
      await expect(openParquetImages(file)).rejects.toMatchObject({
        code: 'data',
        message: expect.stringMatching(
          /metadata of x.parquet names the classes of 'label' by what is no list of texts/,
        ),
      })
    }
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['is empty', new Uint8Array(0), /Cannot read the metadata of x.parquet/],
    ['is a text', new TextEncoder().encode('label,image\n'.repeat(50)), /Cannot read the metadata of x.parquet/],
    ['is truncated', parquet(rows(30)).subarray(0, 300), /Cannot read the metadata of x.parquet/],
    [
      'has a row without a label',
      parquet([{ image: encoded(1), label: -1 }]),
      /Row 0 of x.parquet has the label -1 in 'label'/,
    ],
  ])('refuses a file that %s', async (_, bytes, message) => {
    await expect(openParquetImages(fileOf(bytes))).rejects.toMatchObject({
      code: 'data',
      message: expect.stringMatching(message),
    })
  })

  test('refuses a file cut off anywhere', async () => {
    const whole = parquet(rows(20), { rowGroupSize: 7, pageSize: 60 })
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
        await expect(openParquetImages(fileOf(whole.subarray(0, length)))).rejects.toMatchObject({ code: 'data' })
      }),
    )
  })

  test('refuses a row without bytes, and damage among the images, by naming them', async () => {
    const hole = await openParquetImages(fileOf(parquet([...rows(2), { image: null, label: 0 }])))
    await expect(hole.images(0, 3)).rejects.toThrow(/Row 2 of x.parquet holds no image bytes in 'image'/)
    const damaged = parquet(rows(30))
    damaged.fill(255, 4, 200)
    const file = await openParquetImages(fileOf(damaged))
    await expect(file.images(0, 30)).rejects.toThrow(/Cannot read the images of rows 0 to 29 of x.parquet/)
  })
})

describe('datasetFromParquet', () => {
  test('puts files one after the other and decodes rows on demand', async () => {
    const files = of(parquet(rows(11), { rowGroupSize: 4 }), parquet(rows(9, 11), { pageSize: 50 }))
    const dataset = await datasetFromParquet(files, options())
    expect(dataset).toMatchObject({
      name: 'set',
      count: 20,
      channels: 1,
      height: 2,
      width: 2,
      classNames: ['0', '1', '2'],
    })
    expect([...dataset.labels]).toEqual(Array.from({ length: 20 }, (_, i) => i % 3))
    expect(firstBytes(await dataset.read([19, 0, 11, 10]))).toEqual([19, 0, 11, 10])
    expect(firstBytes((await inMemory(dataset)).images)).toEqual([...Array(20).keys()])
  })

  test('reads a row group once for all its neighbours', async () => {
    const file = fileOf(parquet(rows(200), { rowGroupSize: 50, offsetIndex: false, codec: 'UNCOMPRESSED' }))
    const dataset = await datasetFromParquet([file], options({ cacheBytes: 0 }))
    const before = file.bytesRead
    await inMemory(dataset)
    expect(file.bytesRead - before).toBeLessThan(file.size)
  })

  test('reads a row group again after a read that failed', async () => {
    let fails = false
    const file = fileOf(parquet(rows(20), { codec: 'UNCOMPRESSED' }))
    const read: ByteSource['read'] = async (offset, length) => {
      if (fails) throw new Error('the network is gone')
      return await file.read(offset, length)
    }
    const dataset = await datasetFromParquet([{ ...file, read }], options())
    fails = true
    await expect(dataset.read([1, 2])).rejects.toThrow('the network is gone')
    fails = false
    expect(firstBytes(await dataset.read([1, 2]))).toEqual([1, 2])
  })

  test('keeps row groups of at most half a gigabyte, and the last one whatever it has', async () => {
    const large = new Uint8Array(200 * 2 ** 20)
    const reads: string[] = []
    const fileOf = (name: string, images: number) => ({
      ...{ name, labels: new Array<number>(images).fill(0), classNames: ['all'], pieces: [0, images] },
      images: async () => {
        reads.push(name)
        return new Array<Uint8Array>(images).fill(large)
      },
    })
    const { columns: _, ...info } = options({ cacheBytes: 0 })
    const dataset = datasetOfParquetImages([fileOf('a', 1), fileOf('b', 1), fileOf('c', 1), fileOf('d', 4)], info)
    for (const index of [0, 1, 0, 1, 2, 1, 0, 3, 4, 5, 6, 0]) await dataset.read([index])
    // a and b are kept, c takes the place of a, and a that of c; d has no room for another.
    expect(reads.join(' ')).toBe('a b c a d a')
  })

  test('names classes by the metadata, or by labels that are text', async () => {
    const classNames = ['tench', 'church', 'parachute']
    expect((await datasetFromParquet(of(parquet(rows(3), { classNames })), options())).classNames).toEqual(classNames)
    const named = ['b', 'a', 'b'].map((label, i) => ({ label, image: encoded(i) }))
    const text = await datasetFromParquet(of(parquet(named)), options())
    expect(text.classNames).toEqual(['a', 'b'])
    expect([...text.labels]).toEqual([1, 0, 1])
  })

  test('refuses a column of numbers that are no labels, before it makes classes of them', async () => {
    for (const number of [65_536, 2 ** 33, 1_700_000_000_000]) {
      const file = parquet([...rows(2), { label: number, image: encoded(2) }], { label: 'time' })
      await expect(datasetFromParquet(of(file), options({ columns: { label: 'time' } }))).rejects.toMatchObject({
        code: 'data',
        message: expect.stringContaining(`Row 2 of part-0.parquet has the label ${number} in 'time'. Labels are`),
      })
    }
    const last = parquet([{ label: 65_535, image: encoded(0) }])
    expect((await datasetFromParquet(of(last), options())).classNames).toHaveLength(65_536)
  })

  test('says which image could not be decoded', async () => {
    const decode = async (_: Uint8Array, source: string) => {
      throw new Error(`bad image ${source}`)
    }
    const dataset = await datasetFromParquet(of(parquet(rows(4)), parquet(rows(4))), options({ decode }))
    await expect(dataset.read([6])).rejects.toThrow('bad image in row 2 of part-1.parquet')
  })

  test('refuses files that do not belong together', async () => {
    const a = parquet(rows(3), { classNames: ['x', 'y', 'z'] })
    const b = parquet(rows(3), { classNames: ['x', 'y', 'w'] })
    await expect(datasetFromParquet(of(a, b), options())).rejects.toThrow(/do not have the same classes/)
    const few = parquet(rows(3), { classNames: ['x', 'y'] })
    await expect(datasetFromParquet(of(few), options())).rejects.toThrow(/has the label 2, but its metadata names 2/)
    const text = parquet([{ label: 'a', image: encoded(0) }])
    await expect(datasetFromParquet(of(text, a), options())).rejects.toThrow(
      /names in some files and numbers in others/,
    )
  })
})
