import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FASHION_MNIST_CLASSES } from '../../src/data/index.ts'
import { decodePng, readSafetensors, type StoredTensor, writeSafetensors } from '../../src/io/index.ts'
import {
  type DistilledSet,
  distilledFromSafetensors,
  distilledToImageFolder,
  distilledToNpz,
  distilledToSafetensors,
} from '../../src/ld3m/index.ts'
import { randomSet } from '../support/distilled.ts'
import { readNpz } from '../support/npy.ts'

/** The order of Python's `sorted`. */
function pythonSorted(names: readonly string[]): string[] {
  const points = (name: string) => Array.from(name, (character) => character.codePointAt(0)!)
  return [...names].sort((a, b) => {
    const [left, right] = [points(a), points(b)]
    const at = left.findIndex((point, i) => point !== right[i])
    return at === -1 ? left.length - right.length : left[at]! - (right[at] ?? -1)
  })
}

const foldersOf = (set: DistilledSet): string[] =>
  [...new Set([...distilledToImageFolder(set).keys()].filter((path) => path.includes('/')))].map(
    (path) => path.split('/')[0]!,
  )

describe('a distilled set as npz', () => {
  test('has images, labels, names of classes and what to normalise with', () => {
    const set = randomSet(['cat', 'große Ente 🦆'], 2, [3, 4, 3])
    const arrays = readNpz(distilledToNpz({ ...set, studentLearningRate: 0.125 }))
    expect(Object.fromEntries(arrays)).toEqual({
      images: { descriptor: '<f4', shape: [4, 3, 4, 3], values: [...set.images.data] },
      labels: { descriptor: '<i4', shape: [4], values: [0, 0, 1, 1] },
      class_names: { descriptor: '<U12', shape: [2], values: set.classNames },
      mean: { descriptor: '<f4', shape: [3], values: [0.25, 0.25, 0.25] },
      std: { descriptor: '<f4', shape: [3], values: [0.5, 0.5, 0.5] },
      student_learning_rate: { descriptor: '<f4', shape: [1], values: [0.125] },
    })
  })

  test('has no learning rate where none was learned', () => {
    expect(readNpz(distilledToNpz(randomSet(['a']))).has('student_learning_rate')).toBe(false)
  })
})

describe('a distilled set as a folder of images', () => {
  test('has each image once, in the folder of its class, rounded to 8 bits', () => {
    const shapes = fc.constantFrom([1, 4, 3], [3, 2, 5])
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 3 }),
        shapes,
        (classes, perClass, shape) => {
          const set = randomSet(
            Array.from({ length: classes }, (_, k) => `class ${k}`),
            perClass,
            shape as [number, number, number],
          )
          const files = distilledToImageFolder(set)
          const paths = pythonSorted([...files.keys()].filter((path) => path.endsWith('.png')))
          expect(paths).toHaveLength(classes * perClass)
          expect(files.size).toBe(paths.length + 1)
          const [channels, height, width] = shape as [number, number, number]
          let largest = 0
          for (const [i, path] of paths.entries()) {
            expect(path.split('/')[0]).toContain(set.classNames[set.labels[i]!])
            const png = decodePng(files.get(path)!)
            expect(png).toMatchObject({ channels, height, width })
            for (let at = 0; at < channels * height * width; at++) {
              const [c, pixel] = [Math.floor(at / (height * width)), at % (height * width)]
              const exact = set.images.data[i * channels * height * width + at]!
              largest = Math.max(largest, Math.abs(png.data[pixel * channels + c]! / 255 - exact))
            }
          }
          expect(largest).toBeLessThanOrEqual(1 / 510 + 1e-7)
          expect(largest).toBeGreaterThan(0)
        },
      ),
    )
  })

  test('tells names, mean, std and learning rate', () => {
    const set = { ...randomSet(FASHION_MNIST_CLASSES), studentLearningRate: 0.01 }
    const about = JSON.parse(new TextDecoder().decode(distilledToImageFolder(set).get('distilled.json')))
    const { classNames, normalization } = set
    expect(about).toEqual({ class_names: classNames, ...normalization, student_learning_rate: 0.01 })
  })

  test.each<[string, string[], string[]]>([
    ['keeps names that are in order', ['ant', 'bee', 'cat'], ['ant', 'bee', 'cat']],
    ['numbers names that are not', ['dark', 'bright'], ['0 dark', '1 bright']],
    ['numbers capitals before small letters, as Python sorts', ['a', 'B'], ['0 a', '1 B']],
    ['numbers names that differ by case alone', ['Cat', 'cat'], ['0 Cat', '1 cat']],
    ['numbers names that become the same', ['a/b', 'a:b'], ['0 a_b', '1 a_b']],
    ['hides nothing and leaves no folder', ['..', '...hidden', 'trailing. '], ['_', 'hidden', 'trailing']],
    ['avoids names of devices', ['CON', 'lpt1.txt', 'nullable'], ['_CON', '_lpt1.txt', 'nullable']],
    ['keeps letters of any script', ['Äpfel', '狐'], ['Äpfel', '狐']],
    [
      'numbers U+FF21 and U+1D400, whose UTF-16 units sort otherwise',
      ['\u{1D400}', '\uFF21'],
      ['0 \u{1D400}', '1 \uFF21'],
    ],
    [
      'pads the number',
      [...'zyxwvutsrqp'],
      [...'zyxwvutsrqp'].map((name, i) => `${String(i).padStart(2, '0')} ${name}`),
    ],
  ])('%s', (_, classNames, folders) => {
    expect(foldersOf(randomSet(classNames))).toEqual(folders)
  })

  test('has folders in the order of the classes whatever they are called', () => {
    const names = fc.uniqueArray(fc.oneof(fc.string({ unit: 'binary' }), fc.string()), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(names, (classNames) => {
        const folders = foldersOf(randomSet(classNames, 1, [1, 1, 1]))
        expect(folders).toHaveLength(classNames.length)
        expect(pythonSorted(folders)).toEqual(folders)
        expect(new Set(folders.map((name) => name.toLowerCase())).size).toBe(folders.length)
        for (const folder of folders) {
          expect(folder).toMatch(/^[^./\\:*?"<>|\p{Cc}][^/\\:*?"<>|\p{Cc}]*$/u)
          expect(folder).not.toMatch(/[. ]$/)
          expect(Buffer.byteLength(folder)).toBeLessThanOrEqual(255)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('cuts names that no file system takes', () => {
    const [folder] = foldersOf(randomSet(['狐'.repeat(200)]))
    expect(folder).toBe('狐'.repeat(66))
  })
})

describe('an export of a set that contradicts itself', () => {
  const good = randomSet(['a', 'b'])
  test.each<[string, Partial<DistilledSet>, string, RegExp]>([
    [
      'fewer labels',
      { labels: Int32Array.of(0) },
      'shape',
      /shape \[2, 1, 4, 3\] do not go with 24 values and 1 labels/,
    ],
    [
      'fewer values',
      { images: { shape: [2, 1, 4, 4], data: good.images.data } },
      'shape',
      /with 24 values and 2 labels/,
    ],
    ['no batch', { images: { shape: [2, 12], data: good.images.data } }, 'shape', /Give \[M, C, H, W\]/],
    ['a label too high', { labels: Int32Array.of(0, 2) }, 'data', /the label 2 is none of 2 classes/],
    ['a label below 0', { labels: Int32Array.of(0, -1) }, 'data', /the label -1 is none of 2 classes/],
    ['a mean too many', { normalization: { mean: [0, 0], std: [1] } }, 'shape', /mean has 2 values for 1 channels/],
    ['no std', { normalization: { mean: [0], std: [] } }, 'shape', /std has 0 values for 1 channels/],
    [
      'a value that is no number',
      { images: { ...good.images, data: good.images.data.map((v, i) => (i === 13 ? Number.NaN : v)) } },
      'numeric',
      /image 1 has the value NaN/,
    ],
  ])('is refused: %s', (_, change, code, message) => {
    const set = { ...good, ...change }
    for (const write of [distilledToNpz, distilledToImageFolder]) {
      expect(() => write(set)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }))
    }
  })

  test('is refused as a folder: a class without images', () => {
    expect(() => distilledToImageFolder({ ...good, classNames: ['a', 'b', 'c'] })).toThrow(/class 'c' has no image/)
  })
})

describe('the file of a distilled set', () => {
  const set = randomSet(['cat', 'dog'], 2, [3, 4, 3])
  /** The file with other tensors and metadata in it. */
  function changed(
    tensors: Readonly<Record<string, StoredTensor>>,
    metadata: Readonly<Record<string, string>> = {},
  ): Uint8Array {
    const file = readSafetensors(distilledToSafetensors(set))
    return writeSafetensors(new Map([...file.tensors, ...Object.entries(tensors)]), { ...file.metadata, ...metadata })
  }

  test('gives the set back', () => {
    expect(distilledFromSafetensors(changed({}))).toEqual(set)
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['names that are one text', changed({}, { class_names: '"ab"' }), /'class_names' is no list of strings/],
    ['a name that is a number', changed({}, { class_names: '["a", 1]' }), /'class_names' is no list of strings/],
    ['losses that are an object', changed({}, { loss: '{}' }), /'loss' is no list of numbers/],
    ['too few names', changed({}, { class_names: '["a"]' }), /label 1 is none of 1 classes/],
    [
      'labels that do not go with the images',
      changed({ labels: { dtype: 'I32', shape: [1], data: Int32Array.of(0) } }),
      /images of shape \[4, 3, 4, 3\] do not go with .* 1 labels/,
    ],
    [
      'a std of 0',
      changed({ std: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 0, 1) } }),
      /std \[1, 0, 1\].*std above 0/,
    ],
  ])('with %s is refused', (_, bytes, message) => {
    expect(() => distilledFromSafetensors(bytes)).toThrow(message)
  })
})
