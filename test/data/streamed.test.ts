import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type AnyDataset,
  channelStatistics,
  checkReadable,
  createDataset,
  createStreamedDataset,
  type Dataset,
  inMemory,
  isStreamed,
  readChannelStatistics,
  readImages,
  type StreamedDatasetInit,
  selectClasses,
  splitDataset,
  subset,
  takePerClass,
} from '../../src/data/index.ts'
import { dataError, optionError } from '../../src/errors.ts'

const CLASSES = ['a', 'b', 'c']
const SIZE = 3 * 2 * 2

/** Images of [3, 2, 2] whose bytes follow from the index. */
const image = (index: number) => Uint8Array.from({ length: SIZE }, (_, i) => (index * 31 + i * 7) % 256)

function streamed(count: number, over: Partial<StreamedDatasetInit> = {}) {
  const loads: number[] = []
  const dataset = createStreamedDataset({
    ...{ name: 'many', channels: 3, height: 2, width: 2, classNames: CLASSES },
    labels: Uint8Array.from({ length: count }, (_, i) => (i * i) % 3),
    load: async (index) => {
      loads.push(index)
      return image(index)
    },
    ...over,
  })
  return { dataset, loads }
}

const same = (dataset: AnyDataset): Dataset =>
  createDataset({
    ...{ name: dataset.name, channels: 3, height: 2, width: 2, classNames: CLASSES, labels: dataset.labels },
    images: Uint8Array.from(Array.from({ length: dataset.count }, (_, i) => [...image(i)]).flat()),
  })

describe('a streamed dataset', () => {
  test('gives the same images whatever the size of its cache', async () => {
    const reads = fc.array(fc.array(fc.nat(19), { maxLength: 12 }), { maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(reads, fc.integer({ min: 0, max: 25 * SIZE }), async (batches, cacheBytes) => {
        const { dataset } = streamed(20, { cacheBytes })
        for (const indices of batches) {
          expect([...(await dataset.read(indices))]).toEqual(indices.flatMap((i) => [...image(i)]))
        }
      }),
    )
  })

  test('keeps as many images as its cache holds, and those that were used last', async () => {
    const reads = fc.array(fc.nat(9), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(reads, fc.nat(12), fc.nat(SIZE - 1), async (indices, kept, rest) => {
        const { dataset, loads } = streamed(10, { cacheBytes: kept * SIZE + rest })
        const expected: number[] = []
        let recent: number[] = []
        for (const index of indices) {
          await dataset.read([index])
          if (!recent.includes(index)) expected.push(index)
          recent = [index, ...recent.filter((other) => other !== index)].slice(0, kept)
        }
        expect(loads).toEqual(expected)
      }),
    )
  })

  test('decodes an image once for all who wait for it, in ascending order, and eight at a time', async () => {
    let now = 0
    let most = 0
    const order: number[] = []
    const { dataset } = streamed(40, {
      cacheBytes: 0,
      load: async (index) => {
        order.push(index)
        most = Math.max(most, ++now)
        await new Promise((resolve) => setTimeout(resolve, 1))
        now--
        return image(index)
      },
    })
    const all = Array.from({ length: 40 }, (_, i) => 39 - i)
    const [first, second] = await Promise.all([dataset.read([...all, ...all]), dataset.read(all.slice(32))])
    expect([...second]).toEqual([...first.subarray(32 * SIZE, 40 * SIZE)])
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(order).toHaveLength(40)
    expect(most).toBe(8)
  })

  test('passes on what went wrong with an image, and reads it again when asked again', async () => {
    let broken = true
    const cause = new Error('no such picture')
    const { dataset } = streamed(4, {
      load: async (index) => {
        if (index === 2 && broken) throw cause
        return image(index)
      },
    })
    await expect(dataset.read([0, 1, 2, 3])).rejects.toMatchObject({
      ...{ code: 'data', cause },
      message: expect.stringMatching(/'many': image 2 could not be loaded: no such picture\. Repair/),
    })
    broken = false
    expect([...(await dataset.read([2]))]).toEqual([...image(2)])
    // What says itself what is wrong is passed on as it is.
    const own = optionError('The size is wrong.', 'Give another.')
    await expect(streamed(4, { load: () => Promise.reject(own) }).dataset.read([0])).rejects.toBe(own)
  })

  test('keeps copies: what an image was decoded in may be used again', async () => {
    for (const scratch of [new Uint8Array(SIZE), Buffer.alloc(SIZE)]) {
      const { dataset } = streamed(4, { load: async (index) => scratch.fill(index + 1) })
      for (const index of [0, 1, 0]) {
        expect([...(await dataset.read([index]))]).toEqual(new Array(SIZE).fill(index + 1))
      }
    }
  })

  test.each([
    ['statistics', (of: AnyDataset) => readChannelStatistics(of)],
    ['memory', (of: AnyDataset) => inMemory(of)],
    ['a check', (of: AnyDataset) => checkReadable(of)],
  ])('tells all images that cannot be read at once, where all are read for %s', async (_, pass) => {
    const failing = (
      is: (index: number) => boolean,
      error = (index: number): Error => dataError(`No ${index}.`, 'Fix it.'),
    ) => {
      const load = async (index: number) => {
        if (is(index)) throw error(index)
        return image(index)
      }
      return pass(streamed(600, { load, cacheBytes: 0 }).dataset)
    }
    await expect(failing((i) => [599, 5, 7].includes(i))).rejects.toMatchObject({
      code: 'data',
      message: "3 images of 'many' cannot be read: No 5; No 7; No 599. Replace or remove them.",
    })
    await expect(failing((i) => i % 50 === 1)).rejects.toThrow(/12 images .*: No 1; No 51; .*; No 451; and 2 more\. R/)
    await expect(failing((i) => i === 300)).rejects.toThrow(/^No 300\. Fix it\.$/)
    await expect(
      failing(
        (i) => i > 2,
        () => new Error('no disk'),
      ),
    ).rejects.toThrow(
      /^At least 10\d images of 'many' cannot be read: .*image 3 could not be loaded: no disk; .*and 9\d more/,
    )
    // A file that many of them are in, say.
    let reads = 0
    await expect(
      failing(
        () => true,
        () => {
          reads++
          return dataError('No such file.', 'Fix it.')
        },
      ),
    ).rejects.toThrow(/^No such file\. Fix it\.$/)
    expect(reads).toBeLessThan(30)
  })

  test('tells how many images were read', async () => {
    const counts: number[] = []
    await checkReadable(streamed(600).dataset, (read) => void counts.push(read))
    expect(counts).toEqual([256, 512, 600])
  })

  test('refuses images of another size than it states, and indices that are not there', async () => {
    const { dataset } = streamed(4, { load: async () => new Uint8Array(5) })
    await expect(dataset.read([1])).rejects.toMatchObject({
      code: 'data',
      message: expect.stringMatching(/'many': image 1 was decoded to 5 bytes; \[3, 2, 2\] has 12/),
    })
    const floats = new Float32Array(SIZE) as unknown as Uint8Array
    await expect(streamed(4, { load: async () => floats }).dataset.read([1])).rejects.toMatchObject({
      code: 'data',
      message: expect.stringMatching(/'many': image 1 .*is of type Float32Array.*multiply values in \[0, 1\] by 255/),
    })
    await expect(dataset.read([4])).rejects.toThrow(/index 4 is not an image of 'many'.*0 to 3/)
    const part = subset(streamed(4).dataset, [3, 1])
    await expect(part.read([2])).rejects.toThrow(/index 2 is not an image of 'many'.*0 to 1/)
  })

  test.each<[string, Partial<StreamedDatasetInit>, RegExp]>([
    ['a cache of half a byte', { cacheBytes: 0.5 }, /cacheBytes is 0.5/],
    ['a negative cache', { cacheBytes: -1 }, /cacheBytes is -1/],
    ['no images', { labels: new Uint8Array(0) }, /'many' has no images/],
    ['a label without a name', { classNames: ['a'] }, /image 1 has label 1, but there are 1 class names/],
    ['signed labels', { labels: Int8Array.of(-1) as unknown as Uint8Array }, /labels is of type Int8Array/],
    ['an unknown field', { cache: 5 } as object, /unknown option 'cache'/],
  ])('refuses %s', (_, over, message) => {
    expect(() => streamed(4, over)).toThrow(message)
  })

  test('is selected from, split and measured as one in memory is', async () => {
    const { dataset } = streamed(60)
    const memory = same(dataset)
    expect(await inMemory(dataset)).toEqual(memory)
    expect(await inMemory(memory)).toBe(memory)
    expect(await readChannelStatistics(dataset)).toEqual(channelStatistics(memory))
    const parts: ((of: AnyDataset) => AnyDataset)[] = [
      (of) => subset(of, [5, 5, 2]),
      (of) => takePerClass(subset(of, [0, 1, 3, 4, 6, 7]), 2),
      (of) => selectClasses(of, ['b', 'a']),
      (of) => splitDataset(selectClasses(of, [0, 1]), { validationFraction: 0.3, seed: 4 }).validation,
      (of) => subset(selectClasses(of, ['b']), [3, 1]),
    ]
    for (const [k, part] of parts.entries()) {
      // A class without images cannot be taken from: 2 is no square modulo 3.
      const [own, other] = k === 1 ? [selectClasses(dataset, [0, 1]), selectClasses(memory, [0, 1])] : [dataset, memory]
      const [a, b] = [part(own), part(other)]
      expect(isStreamed(a)).toBe(true)
      expect(await inMemory(a)).toEqual(b)
      expect(await readImages(a, [0])).toEqual(await readImages(b, [0]))
    }
  })

  test('too large for memory is an error that says so', async () => {
    const huge = createStreamedDataset({
      ...{ name: 'huge', channels: 3, height: 2 ** 20, width: 2 ** 20, classNames: ['all'] },
      ...{ labels: new Uint8Array(4000), load: async () => new Uint8Array(0) },
    })
    await expect(inMemory(huge)).rejects.toMatchObject({
      code: 'memory',
      message: expect.stringMatching(/4000 images of 'huge' need 12288000.0 GiB/),
    })
  })
})

describe('labels', () => {
  test('may tell 1,000 classes apart, and keep their room when classes are selected', () => {
    const classNames = Array.from({ length: 1000 }, (_, k) => `class ${k}`)
    const labels = Uint16Array.from({ length: 2000 }, (_, i) => i % 1000)
    const base = { name: 'wide', channels: 1, height: 1, width: 1 }
    const dataset = createDataset({ ...base, images: Uint8Array.from(labels, (k) => k % 256), labels, classNames })
    const part = selectClasses(dataset, ['class 999', 3])
    expect([...part.labels]).toEqual([1, 0, 1, 0])
    expect(part.labels).toBeInstanceOf(Uint8Array)
    expect([...part.images]).toEqual([3, 231, 3, 231])
    expect(subset(dataset, [999]).labels).toEqual(Uint16Array.of(999))
    const tooMany = Array.from({ length: 65_537 }, (_, k) => `${k}`)
    const many = { ...base, images: new Uint8Array(1), labels: new Uint16Array(1), classNames: tooMany }
    expect(() => createDataset(many)).toThrow(/has 65537 class names. Give 1 to 65536/)
  })
})
