import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  channelStatistics,
  createDataset,
  type Dataset,
  type DatasetInit,
  indicesByClass,
  padTo,
  selectClasses,
  splitDataset,
  subset,
  takePerClass,
  toFloat,
} from '../../src/data/index.ts'

const init = (count: number, over: Partial<DatasetInit> = {}): DatasetInit => ({
  name: 'sample',
  images: Uint8Array.from({ length: count * 2 * 3 }, (_, i) => (i * 29) % 256),
  labels: Uint8Array.from({ length: count }, (_, i) => i % 3),
  channels: 1,
  height: 2,
  width: 3,
  classNames: ['cat', 'dog', 'owl'],
  ...over,
})
const sample = (count: number, over: Partial<DatasetInit> = {}) => createDataset(init(count, over))

const anyDataset: fc.Arbitrary<Dataset> = fc
  .record({
    channels: fc.constantFrom(1, 3),
    height: fc.integer({ min: 1, max: 5 }),
    width: fc.integer({ min: 1, max: 5 }),
    labels: fc.uint8Array({ min: 0, max: 3, minLength: 1, maxLength: 12 }),
  })
  .chain(({ channels, height, width, labels }) => {
    const length = labels.length * channels * height * width
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((images) =>
        createDataset({ name: 'any', images, labels, channels, height, width, classNames: ['a', 'b', 'c', 'd'] }),
      )
  })

describe('createDataset', () => {
  test('counts the images and keeps the arrays', () => {
    const given = init(4, { mean: [0.5], std: [0.25] })
    expect(createDataset(given)).toEqual({ ...given, count: 4 })
    expect(createDataset(given).images).toBe(given.images)
  })

  test.each<[string, Partial<DatasetInit>, string, RegExp]>([
    ['no images', { labels: new Uint8Array(0), images: new Uint8Array(0) }, 'data', /has no images/],
    ['no labels', { labels: undefined as unknown as Uint8Array }, 'data', /has no images/],
    ['no bytes', { images: undefined as unknown as Uint8Array }, 'shape', /images is undefined.*Give a Uint8Array/],
    [
      'images in [0, 1]',
      { images: new Float32Array(24) as unknown as Uint8Array },
      'shape',
      /images is of type Float32Array.*multiply values in \[0, 1\] by 255/,
    ],
    [
      'signed labels',
      { labels: Int32Array.of(0, 1, -1, 2) as unknown as Uint8Array },
      'data',
      /labels is of type Int32Array.*Uint16Array/,
    ],
    [
      'labels that are no whole numbers',
      { labels: [0.5, 1, 0, 2] as unknown as Uint8Array },
      'data',
      /labels is an array\. Give a Uint8Array/,
    ],
    ['a text of class names', { classNames: 'abc' as unknown as string[] }, 'option', /classNames is 'abc'.*of texts/],
    ['numbers as class names', { classNames: [0, 1, 2] as unknown as string[] }, 'option', /Give an array of texts/],
    ['class names that are left out', { classNames: undefined as unknown as string[] }, 'option', /is undefined/],
    ['two channels', { channels: 2 }, 'shape', /has 2 channels/],
    ['an empty side', { height: 0 }, 'shape', /0×3 pixels/],
    ['too few bytes', { images: new Uint8Array(23) }, 'shape', /23 image bytes, but 4 labels.*\[1, 2, 3\] ask for 24/],
    [
      'a label without a class',
      { classNames: ['cat', 'dog'] },
      'data',
      /image 2 has label 2, but there are 2 class names/,
    ],
    ['two classes of one name', { classNames: ['cat', 'dog', 'cat'] }, 'option', /two classes named 'cat'/],
    ['no class names', { classNames: [] }, 'option', /has 0 class names/],
    ['a mean for three channels', { mean: [0, 0, 0] }, 'option', /mean is \[0, 0, 0\].*Give 1 finite numbers/],
    ['a std of zero', { std: [0] }, 'option', /std is \[0\].*positive/],
    ['an unknown field', { heigth: 2 } as Partial<DatasetInit>, 'option', /unknown option 'heigth'/],
  ])('refuses %s', (_, over, code, message) => {
    expect(() => sample(4, over)).toThrow(message)
    expect(() => sample(4, over)).toThrow(expect.objectContaining({ code }))
  })
})

describe('padTo', () => {
  test('puts 28×28 images in the middle of 32×32', () => {
    const images = new Uint8Array(2 * 784).fill(9)
    const padded = padTo(sample(2, { images, height: 28, width: 28 }), 32)
    expect(padded).toMatchObject({ height: 32, width: 32, count: 2 })
    const inside = (i: number) => {
      const [y, x] = [Math.floor(i / 32) % 32, i % 32]
      return y >= 2 && y < 30 && x >= 2 && x < 30
    }
    expect(padded.images).toEqual(Uint8Array.from({ length: 2 * 1024 }, (_, i) => (inside(i) ? 9 : 0)))
  })

  test('keeps every pixel and adds only black', () => {
    fc.assert(
      fc.property(anyDataset, fc.integer({ min: 5, max: 8 }), (dataset, size) => {
        const { images, count, channels, height, width } = dataset
        const padded = padTo(dataset, size).images
        const [top, left] = [Math.floor((size - height) / 2), Math.floor((size - width) / 2)]
        let sum = 0
        for (let plane = 0; plane < count * channels; plane++) {
          for (let y = 0; y < height; y++) {
            for (let x = 0; x < width; x++) {
              const value = images[(plane * height + y) * width + x]!
              expect(padded[(plane * size + top + y) * size + left + x]).toBe(value)
              sum += value
            }
          }
        }
        expect(padded.reduce((a, b) => a + b, 0)).toBe(sum)
      }),
    )
  })

  test('refuses a size smaller than the images', () => {
    expect(() => padTo(sample(1), 2)).toThrow(/size is 2, but 'sample' has images of 2×3.*at least 3/)
  })
})

describe('channelStatistics', () => {
  test('agrees with the plain definition over all pixels of each channel', () => {
    fc.assert(
      fc.property(anyDataset, (dataset) => {
        const { mean, std } = channelStatistics(dataset)
        const plane = dataset.height * dataset.width
        for (let c = 0; c < dataset.channels; c++) {
          const values = [...dataset.images].filter((_, i) => Math.floor(i / plane) % dataset.channels === c)
          const average = values.reduce((a, b) => a + b / 255, 0) / values.length
          const variance = values.reduce((a, b) => a + (b / 255 - average) ** 2, 0) / values.length
          expect(mean[c]).toBeCloseTo(average, 12)
          expect(std[c]).toBeCloseTo(Math.sqrt(variance), 12)
        }
      }),
    )
  })
})

describe('toFloat', () => {
  test('gives the named images in [0, 1], in the order of the indices', () => {
    const dataset = sample(3, { images: Uint8Array.from({ length: 18 }, (_, i) => i * 15) })
    const expected = [...dataset.images.slice(12, 18), ...dataset.images.slice(0, 6)].map((byte) =>
      Math.fround(byte / 255),
    )
    expect([...toFloat(dataset, [2, 0])]).toEqual(expected)
    expect(toFloat(dataset, Uint32Array.of(2))[5]).toBe(1)
  })

  test('refuses an index out of range', () => {
    expect(() => toFloat(sample(3), [3])).toThrow(/index 3 is not an image of 'sample'.*from 0 to 2/)
    expect(() => toFloat(sample(3), [0.5])).toThrow(/index 0.5/)
  })
})

describe('indicesByClass', () => {
  test('lists each image once, under its label, in order', () => {
    fc.assert(
      fc.property(anyDataset, (dataset) => {
        const classes = indicesByClass(dataset)
        expect(classes).toHaveLength(dataset.classNames.length)
        expect(classes.flatMap((indices) => [...indices]).sort((a, b) => a - b)).toEqual([...dataset.labels.keys()])
        classes.forEach((indices, label) => {
          expect([...indices]).toEqual([...indices].sort((a, b) => a - b))
          for (const index of indices) expect(dataset.labels[index]).toBe(label)
        })
      }),
    )
  })
})

describe('subsets', () => {
  test('hold copies of the named images and labels', () => {
    const dataset = sample(6)
    const part = subset(dataset, [4, 1, 4])
    expect(part.count).toBe(3)
    expect([...part.labels]).toEqual([1, 1, 1])
    expect(part.images.slice(0, 6)).toEqual(dataset.images.slice(24, 30))
    expect(part.images.slice(6, 12)).toEqual(dataset.images.slice(6, 12))
    expect(() => subset(dataset, [])).toThrow(/indices is empty/)
    expect(() => subset(dataset, [6])).toThrow(/index 6/)
  })

  test('take the first images of each class, in the order of the dataset', () => {
    const part = takePerClass(sample(9), 2)
    expect([...part.labels]).toEqual([0, 1, 2, 0, 1, 2])
    expect(part.images).toEqual(sample(9).images.slice(0, 36))
    expect(() => takePerClass(sample(8), 3)).toThrow(/class 'owl' of 'sample' has 2 images, but 3 were asked for/)
    expect(() => takePerClass(sample(8), 0)).toThrow(/perClass is 0/)
  })

  test('select classes by name or label and relabel them in the order named', () => {
    const part = selectClasses(sample(6), ['owl', 0])
    expect(part.classNames).toEqual(['owl', 'cat'])
    expect([...part.labels]).toEqual([1, 0, 1, 0])
    expect(part.images.slice(6, 12)).toEqual(sample(6).images.slice(12, 18))
    expect(() => selectClasses(sample(6), ['cow'])).toThrow(/no class "cow".*0 'cat', 1 'dog', 2 'owl'/)
    expect(() => selectClasses(sample(6), ['cat', 0])).toThrow(/class 'cat' is named twice/)
    expect(() => selectClasses(sample(6), [])).toThrow(/no class is named/)
    expect(() => selectClasses(sample(2), ['owl'])).toThrow(/have no images/)
  })
})

describe('splitDataset', () => {
  test('divides every class by the fraction and loses nothing', () => {
    const dataset = sample(90, { images: Uint8Array.from({ length: 540 }, (_, i) => Math.floor(i / 6)) })
    const { train, validation } = splitDataset(dataset, { validationFraction: 0.2, seed: 3 })
    expect(indicesByClass(train).map((indices) => indices.length)).toEqual([24, 24, 24])
    expect(indicesByClass(validation).map((indices) => indices.length)).toEqual([6, 6, 6])
    expect(Uint8Array.from([...train.images, ...validation.images]).sort()).toEqual(dataset.images.slice().sort())
  })

  test('depends on the seed, and on nothing else', () => {
    const labels = (seed: number) => splitDataset(sample(90), { validationFraction: 0.3, seed }).validation.images
    expect(labels(1)).toEqual(labels(1))
    expect(labels(1)).not.toEqual(labels(2))
    expect(labels(1)).not.toEqual(labels(1 + 2 ** 32))
  })

  test('leaves at least one image of each class on either side', () => {
    for (const validationFraction of [0.01, 0.99]) {
      const { train, validation } = splitDataset(sample(6), { validationFraction })
      expect([...train.labels].sort()).toEqual([0, 1, 2])
      expect([...validation.labels].sort()).toEqual([0, 1, 2])
    }
    expect(() => splitDataset(sample(4), { validationFraction: 0.5 })).toThrow(
      /class 'dog' of 'sample' has a single image/,
    )
  })

  test('refuses fractions that leave nothing, and seeds that are not whole', () => {
    expect(() => splitDataset(sample(6), { validationFraction: 1 })).toThrow(/validationFraction is 1/)
    expect(() => splitDataset(sample(6), { validationFraction: NaN })).toThrow(/validationFraction is NaN/)
    expect(() => splitDataset(sample(6), { validationFraction: 0.5, seed: 0.5 })).toThrow(/seed is 0.5/)
  })
})
