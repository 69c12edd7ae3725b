import { describe, expect, test } from 'vitest'
import {
  findClasses,
  IMAGENET_CLASSES,
  IMAGENET_SUBSETS,
  imagenetClass,
  imagenetIds,
  imagenetSubset,
} from '../../src/data/index.ts'

const wnids = IMAGENET_CLASSES.map(({ wnid }) => wnid)

describe("ImageNet's classes", () => {
  test('are 1,000, in the order of their WordNet ids, each with a name of its own', () => {
    expect(wnids).toHaveLength(1000)
    expect(wnids).toEqual([...wnids].sort())
    expect(wnids.every((wnid) => /^n\d{8}$/.test(wnid))).toBe(true)
    expect(new Set(IMAGENET_CLASSES.map(({ name }) => name)).size).toBe(1000)
    expect(IMAGENET_CLASSES.map(({ id }) => id)).toEqual([...wnids.keys()])
    // The first, some within and the last.
    expect(IMAGENET_CLASSES[0]).toEqual({ id: 0, wnid: 'n01440764', name: 'tench' })
    expect(IMAGENET_CLASSES[207]).toEqual({ id: 207, wnid: 'n02099601', name: 'golden retriever' })
    expect(IMAGENET_CLASSES[701]).toEqual({ id: 701, wnid: 'n03888257', name: 'parachute' })
    expect(IMAGENET_CLASSES[999]).toEqual({ id: 999, wnid: 'n15075141', name: 'toilet tissue' })
  })

  test('have ten subsets of ten, whose names say what they are', () => {
    expect(Object.keys(IMAGENET_SUBSETS)).toHaveLength(10)
    for (const ids of Object.values(IMAGENET_SUBSETS)) expect(new Set(ids).size).toBe(10)
    const names = (subset: keyof typeof IMAGENET_SUBSETS) => imagenetSubset(subset).map(({ name }) => name)
    expect(names('imagenette')).toEqual([
      ...['tench', 'English springer', 'cassette player', 'chain saw', 'church', 'French horn', 'garbage truck'],
      ...['gas pump', 'golf ball', 'parachute'],
    ])
    expect(names('imagemeow')).toEqual([
      ...['tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat', 'lion', 'tiger', 'jaguar'],
      ...['snow leopard', 'lynx'],
    ])
    expect(names('imagefruit')).toContain('Granny Smith')
    expect(names('imagewoof')).toContain('Old English sheepdog')
    expect(names('imagesquawk')).toContain('king penguin')
    expect(names('imagenet-a')[0]).toBe('Leonberg')
  })

  test('are found by WordNet id, name, or a list of names', () => {
    for (const name of ['n01440764', 'tench', 'tench, Tinca tinca']) expect(imagenetClass(name)?.id).toBe(0)
    expect(imagenetClass('Tench')).toBeUndefined()
    // Where the first name is not enough, as Hugging Face spells them, in the order of the labels.
    expect(imagenetIds(['crane', 'crane2', 'maillot', 'maillot, tank suit'])).toEqual([134, 517, 638, 639])
    expect(imagenetIds(['parachute', 'n01440764'])).toEqual([701, 0])
    expect(imagenetIds(['parachute', 'teapot holder'])).toBeUndefined()
  })
})

describe('findClasses', () => {
  const find = (classNames: readonly string[], ...classes: (number | string)[]) =>
    findClasses('here', { name: 'pets', classNames }, classes)

  test('takes labels, names and other names of the same ImageNet class, in the order asked for', () => {
    expect(find(['cat', 'dog', 'tench'], 'dog', 0, 'n01440764')).toEqual([1, 0, 2])
    expect(find(['n01440764', 'goldfish, Carassius auratus'], 'goldfish', 'tench')).toEqual([1, 0])
    expect(find(['maillot', 'maillot, tank suit'], 'n03710721', 'n03710637')).toEqual([1, 0])
  })

  test('takes a name in whichever form Unicode writes its accents', () => {
    expect(find(['\u00e9clair', 'cr\u00eape'], 'cre\u0302pe', 'e\u0301clair')).toEqual([1, 0])
  })

  test('takes a subset of ImageNet however the dataset names its classes', () => {
    const subset = imagenetSubset('imagewoof')
    const ids = subset.map(({ id }) => id)
    expect(find(wnids, 'imagewoof')).toEqual(ids)
    expect(
      find(
        IMAGENET_CLASSES.map(({ name }) => name),
        'imagewoof',
      ),
    ).toEqual(ids)
    expect(
      find(
        IMAGENET_CLASSES.map(({ name }) => `${name}, or so`),
        'imagewoof',
      ),
    ).toEqual(ids)
    const sorted = [...subset].sort((a, b) => a.id - b.id)
    const labels = find(
      sorted.map(({ wnid }) => wnid),
      'imagewoof',
    )
    expect(labels.map((label) => sorted[label])).toEqual(subset)
  })

  test.each<[string, readonly string[], (number | string)[], RegExp]>([
    [
      'an unknown class',
      ['cat', 'dog'],
      ['bird'],
      /^here: 'pets' has no class "bird"\. Its classes are 0 'cat', 1 'dog'\.$/,
    ],
    ['a misspelt class', ['red shoes', 'cat'], ['red shoe'], /no class "red shoe"\. Did you mean 'red shoes'\? Its/],
    ['a misspelt subset', wnids, ['imagewof'], /Did you mean 'imagewoof'\? Its/],
    ['an unknown label', ['cat', 'dog'], [2], /has no class 2/],
    ['half of a subset', ['tench', 'church'], ['imagenette'], /lacks n02102040 \(English springer\), .* of imagenette/],
    ['a class twice', ['cat', 'dog'], ['cat', 0], /class 'cat' is named twice/],
    ['no class', ['cat', 'dog'], [], /no class is named/],
    ['one of very many', wnids, ['wolfhound'], /19 'n01592084', and 980 more\. Subsets of ImageNet: imagenet-a, /],
  ])('refuses %s, and says which there are', (_, names, classes, message) => {
    expect(() => find(names, ...classes)).toThrow(message)
  })
})
