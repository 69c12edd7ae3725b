import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CIFAR10_CLASSES, datasetFromCifar } from '../../src/data/index.ts'
import { readCifar } from '../../src/io/index.ts'
import { records } from '../support/image-files.ts'

describe('readCifar', () => {
  test('takes records apart', () => {
    const label = fc.integer({ min: 0, max: 255 })
    fc.assert(
      fc.property(
        fc.constantFrom(1 as const, 2 as const),
        fc.array(fc.tuple(label, label), { minLength: 1, maxLength: 3 }),
        (per, all) => {
          const own = all.map((labels) => labels.slice(0, per))
          const { labels, images } = readCifar(records(...own), per)
          expect([...labels]).toEqual(own.flat())
          expect(images).toHaveLength(own.length * 3072)
          expect(images[images.length - 1]).toBe(((own.length - 1) * 5 + 3071) % 256)
        },
      ),
      { numRuns: 20 },
    )
  })

  test.each([
    ['is empty', records(), /it has 0 bytes, which is not a whole number of records of 3073/],
    ['is truncated', records([1], [2]).subarray(0, 6145), /has 6145 bytes.*truncated or not CIFAR-10's/],
    ['is of CIFAR-100', records([1, 2]), /has 3074 bytes/],
  ])('refuses a file that %s', (_, bytes, message) => {
    expect(() => readCifar(bytes, 1, 'batch.bin')).toThrow(message)
    expect(() => readCifar(bytes, 1, 'batch.bin')).toThrow(/Cannot read batch.bin/)
  })
})

describe('datasetFromCifar', () => {
  test('puts files one after the other, with the classes of CIFAR-10', () => {
    const files = [records([3], [9]), records([0])].map((bytes, i) => ({ bytes, source: `${i}` }))
    const dataset = datasetFromCifar(files)
    expect(dataset).toMatchObject({ name: 'cifar', count: 3, channels: 3, height: 32, width: 32 })
    expect([...dataset.labels]).toEqual([3, 9, 0])
    expect(dataset.classNames).toEqual(CIFAR10_CLASSES)
    // Row-major planes, as they are in the file.
    expect([...dataset.images.subarray(3072, 3075)]).toEqual([5, 6, 7])
  })

  test("takes one of CIFAR-100's two labels", () => {
    const files = [{ bytes: records([4, 30], [19, 99]), source: 'train.bin' }]
    expect([...datasetFromCifar(files, { labels: 'coarse' }).labels]).toEqual([4, 19])
    expect([...datasetFromCifar(files, { labels: 'fine' }).labels]).toEqual([30, 99])
    expect(datasetFromCifar(files, { labels: 'fine' }).classNames).toHaveLength(100)
  })

  test('refuses labels that no class has, an unknown choice and no files', () => {
    const file = { bytes: records([1], [10]), source: 'data_batch_1.bin' }
    expect(() => datasetFromCifar([file])).toThrow(
      /Record 1 of data_batch_1.bin has label 10, but there are 10 classes/,
    )
    expect(() => datasetFromCifar([file], { labels: 'both' as 'fine' })).toThrow(/labels is 'both'/)
    expect(() => datasetFromCifar([])).toThrow(/has no images/)
  })
})
