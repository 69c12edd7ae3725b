import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type AvailableFormatInfo } from 'sharp'
import { describe, expect, test } from 'vitest'
import { type AnyDataset, inMemory, isStreamed } from '../../src/data/index.ts'
import { writeIdx } from '../../src/io/index.ts'
import type { Split } from '../../src/node/folders.ts'
import { dataIdentity, hasPart, loadCifar, loadImageFolder, loadParquet, openDataset } from '../../src/node/index.ts'
import { folderOf, parquet, plain, png, records } from '../support/image-files.ts'

const [red, green, blue] = await Promise.all([png(plain(255, 0, 0)), png(plain(0, 255, 0)), png(plain(0, 0, 255))])
const size = 4

/** The class and the red, green and blue of each image, as 0 and 1. */
async function contents(dataset: AnyDataset): Promise<string[]> {
  const { images, labels, classNames, height, width } = await inMemory(dataset)
  const plane = height * width
  return Array.from(labels, (label, n) => {
    const colour = [0, 1, 2].map((c) => Math.round(images[(3 * n + c) * plane]! / 255)).join('')
    return `${classNames[label]} ${colour}`
  })
}

describe('loadImageFolder', () => {
  test('takes classes from folders, in the order of names, with all that lies below them', async () => {
    const root = await folderOf({
      'dog/b.png': green,
      'dog/a.PNG': red,
      'cat/images/deep/x.png': blue,
      'cat/x.png': red,
      'cat/notes.txt': 'not an image',
      'cat/.hidden.png': 'nor this',
      LICENSE: 'free',
    })
    const dataset = await loadImageFolder(root, { size })
    expect(dataset).toMatchObject({ count: 4, channels: 3, height: 4, width: 4, classNames: ['cat', 'dog'] })
    expect(await contents(dataset)).toEqual(['cat 100', 'cat 001', 'dog 100', 'dog 010'])
    expect(await contents(await loadImageFolder(root, { size, classes: ['dog'] }))).toEqual(['dog 100', 'dog 010'])
    expect((await loadImageFolder(root, { size, channels: 1 })).images).toHaveLength(4 * 16)
  })

  test('composes the names of classes, which macOS decomposes, and reads the folders as they are called', async () => {
    const root = await folderOf({ 'cre\u0302pe/a.png': red, 'e\u0301clair/b.png': green })
    expect(await contents(await loadImageFolder(root, { size }))).toEqual(['cr\u00eape 100', '\u00e9clair 010'])
    for (const name of ['\u00e9clair', 'e\u0301clair']) {
      expect(await contents(await loadImageFolder(root, { size, classes: [name] }))).toEqual(['\u00e9clair 010'])
    }
  })

  test('takes a part of a folder with parts; to test on ImageNet is its val', async () => {
    const root = await folderOf({
      'train/n01440764/a.JPEG': red,
      'train/n03888257/b.JPEG': green,
      'val/n01440764/c.JPEG': blue,
      'val/n03888257/d.JPEG': blue,
    })
    expect(await contents(await loadImageFolder(root, { size }))).toEqual(['tench 100', 'parachute 010'])
    for (const split of ['validation', 'test'] as const) {
      expect(await contents(await loadImageFolder(root, { size, split }))).toEqual(['tench 001', 'parachute 001'])
    }
    for (const name of ['parachute', 'n03888257']) {
      expect(await contents(await loadImageFolder(root, { size, classes: [name] }))).toEqual(['parachute 010'])
    }
    await expect(loadImageFolder(root, { size, classes: ['imagenette'] })).rejects.toThrow(
      /lacks n02102040 \(English springer\)/,
    )
  })

  test('tells a class called train from a part, and follows links', async () => {
    const root = await folderOf({ 'train/a.png': red, 'car/b.png': green })
    await symlink(join(root, 'car'), join(root, 'bus'))
    expect(await contents(await loadImageFolder(root, { size }))).toEqual(['bus 010', 'car 010', 'train 100'])
  })

  test('reads every usual spelling of JPEG, what else sharp reads, and files without an ending by what they hold', async () => {
    const encoded = sharp(red)
    const photograph = await encoded.jpeg().toBuffer()
    const names = ['a.jpg', 'b.JFIF', 'c.jpe', 'd.jif', 'e', 'f.pjpeg']
    const root = await folderOf({
      ...Object.fromEntries(names.map((name) => [`cat/${name}`, photograph])),
      'cat/g.webp': await encoded.webp().toBuffer(),
      'cat/h.avif': await encoded.avif().toBuffer(),
      'cat/i.gif': await encoded.gif().toBuffer(),
      'cat/j.tif': await encoded.tiff().toBuffer(),
      'cat/k': await encoded.avif().toBuffer(),
      'cat/l': await encoded.webp().toBuffer(),
      'cat/m': await encoded.gif().toBuffer(),
      'cat/n': await encoded.tiff().toBuffer(),
      'cat/o': red,
      'cat/README': 'not an image',
      'cat/desktop.ini': '[.ShellClassInfo]',
      'cat/Thumbs.db': 'thumbnails',
      'cat/._a.jpg': 'of a Mac',
      'cat/.DS_Store': 'of a Mac',
    })
    expect(await contents(await loadImageFolder(root, { size }))).toEqual(Array(15).fill('cat 100'))
  })

  test('the endings of images are those that the installed sharp says it reads', async () => {
    const { jpeg, png, webp, heif, gif, tiff } = sharp.format as unknown as Record<string, AvailableFormatInfo>
    const suffixes = [jpeg, png, webp, heif, gif, tiff].flatMap((format) => format?.input.fileSuffix ?? [])
    const root = await folderOf(Object.fromEntries(suffixes.map((suffix) => [`cat/x${suffix}`, red])))
    expect((await loadImageFolder(root, { size })).count).toBe(suffixes.length)
    expect(suffixes).toContain('.jpe')
    expect(suffixes).not.toContain('.heic')
  })

  test('ignores icons and vector graphics, whatever they are called', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    const root = await folderOf({
      ...{ 'train/cat/a.png': red, 'val/cat/b.png': red, 'assets/logo.svg': svg, 'assets/logo': svg },
      ...{
        'train/cat/folder.ico': 'x',
        'train/cat/hand.cur': 'x',
        'train/cat/drawing.svg': svg,
        'train/cat/drawing': svg,
      },
    })
    expect(await contents(await loadImageFolder(root, { size }))).toEqual(['cat 100'])
  })

  test('leaves out no image silently: those of kinds that are not read are counted by kind', async () => {
    const root = await folderOf({
      'cat/0015.jpg': red,
      'cat/deep/IMG_1.HEIC': 'x',
      'dog/IMG_2.heic': 'x',
      'dog/y.bmp': 'BM',
      'dog/notes.txt': 'not an image',
    })
    await expect(loadImageFolder(root, { size })).rejects.toMatchObject({
      code: 'data',
      message: `${root} holds images of kinds that are not read: 2 .heic, 1 .bmp, such as ${join(root, 'cat/deep/IMG_1.HEIC')}. Convert them, say to JPEG, or move them out of the folder.`,
    })
    const flat = await folderOf({ 'IMG_1.HEIC': 'x' })
    await expect(loadImageFolder(flat, { size })).rejects.toThrow(/belong to no class: IMG_1.HEIC/)
  })

  test.each<[string, Record<string, Uint8Array | string>, object, RegExp]>([
    ['an empty folder', {}, {}, /has no class folders; it holds nothing/],
    ['files of other kinds', { 'a.txt': '' }, {}, /has no class folders; it holds a.txt.*\.jpg, \.jpeg, \.png/],
    ['an empty class', { 'cat/a.png': red, 'dog/a.txt': '' }, {}, /class folder .*dog holds no images/],
    ['images beside classes', { 'cat/a.png': red, 'b.png': red }, {}, /images that belong to no class: b.png/],
    [
      'images beside classes of a part',
      { 'train/b.png': red, 'train/cat/a.png': red, 'val/cat/a.png': red },
      {},
      /mixes two/,
    ],
    [
      'classes beside parts',
      { 'train/cat/a.png': red, 'dog/b.png': red },
      {},
      /beside train there are folders of images, dog/,
    ],
    ['a part that is not there', { 'train/cat/a.png': red }, { split: 'test' }, /no part 'test', only train/],
    ['a part where there are none', { 'cat/a.png': red }, { split: 'test' }, /has no parts.*splitDataset/],
    [
      'a class that is not there',
      { 'cat/a.png': red },
      { classes: ['dog'] },
      /no class "dog". Its classes are 0 'cat'/,
    ],
    ['a split of another name', { 'cat/a.png': red }, { split: 'dev' }, /split is "dev"/],
    ['an unknown option', { 'cat/a.png': red }, { sizes: 3 }, /unknown option 'sizes'/],
    [
      'a broken image',
      { 'cat/a.png': red, 'cat/b.png': red.subarray(0, 60) },
      {},
      /Cannot read the image .*cat\/b.png/,
    ],
  ])('refuses %s', async (_, files, options, message) => {
    const root = await folderOf(files)
    await expect(loadImageFolder(root, { size, ...options })).rejects.toMatchObject({
      message: expect.stringMatching(message),
    })
  })

  test('refuses a folder that is not there', async () => {
    await expect(loadImageFolder('/nowhere/at/all', { size })).rejects.toThrow(
      /Cannot read the folder \/nowhere\/at\/all/,
    )
  })
})

describe('loadCifar', () => {
  const ten = {
    'data_batch_1.bin': records([3]),
    'data_batch_2.bin': records([1], [2]),
    'test_batch.bin': records([9]),
  }

  test('reads the batches of CIFAR-10 in order, and names from beside them', async () => {
    const root = await folderOf({ ...ten, 'batches.meta.txt': `${[...'abcdefghij'].join('\n')}\n\n` })
    const train = await loadCifar(root)
    expect([...train.labels]).toEqual([3, 1, 2])
    expect(train.classNames).toEqual([...'abcdefghij'])
    expect([...(await loadCifar(root, { split: 'test' })).labels]).toEqual([9])
    expect((await loadCifar(await folderOf(ten))).classNames[3]).toBe('cat')
  })

  test('reads CIFAR-100 by its fine or its coarse labels', async () => {
    const root = await folderOf({
      'train.bin': records([4, 30]),
      'coarse_label_names.txt': 'fish\nflowers\n'.repeat(1),
    })
    expect([...(await loadCifar(root)).labels]).toEqual([30])
    await expect(loadCifar(root, { labels: 'coarse' })).rejects.toThrow(/label 4, but there are 2 classes/)
    await expect(loadCifar(root, { split: 'test' })).rejects.toThrow(/no CIFAR test images/)
  })

  test('refuses gaps, truncated files and unknown splits', async () => {
    const { 'data_batch_1.bin': first, ...rest } = ten
    await expect(loadCifar(await folderOf(rest))).rejects.toThrow(/data_batch_1.bin is missing/)
    await expect(loadCifar(await folderOf({ 'data_batch_1.bin': first.subarray(1) }))).rejects.toThrow(
      /Cannot read .*data_batch_1.bin: it has 3072 bytes/,
    )
    await expect(loadCifar(await folderOf(ten), { split: 'val' as 'test' })).rejects.toThrow(/split is "val"/)
  })
})

describe('loadParquet', () => {
  const classNames = ['church', 'tench']
  const rows = [red, green, blue].map((image, i) => ({ image, label: i % 2 }))

  test('reads a file, or the files of a split', async () => {
    const root = await folderOf({
      'data/train-00000-of-00002.parquet': parquet(rows, { classNames }),
      'data/train-00001-of-00002.parquet': parquet(rows.slice(1), { classNames }),
      'data/validation-00000-of-00001.parquet': parquet(rows.slice(2), { classNames }),
      'README.md': '---',
    })
    const train = ['church 100', 'tench 010', 'church 001', 'tench 010', 'church 001']
    expect(await contents(await loadParquet(root, { size }))).toEqual(train)
    expect(await contents(await loadParquet(root, { size, split: 'test' }))).toEqual(['church 001'])
    expect(await contents(await loadParquet(root, { size, classes: ['tench'] }))).toEqual(['tench 010', 'tench 010'])
    const file = join(root, 'data/train-00001-of-00002.parquet')
    expect(await contents(await loadParquet(file, { size }))).toEqual(train.slice(3))
    const folders = await folderOf({
      'default/train/0000.parquet': parquet(rows),
      'default/test/0000.parquet': parquet(rows),
    })
    expect((await loadParquet(folders, { size, split: 'test' })).count).toBe(3)
  })

  test('refuses what it cannot tell apart, and what is broken', async () => {
    const file = parquet(rows)
    const refused = async (files: Record<string, Uint8Array>, options: object, message: RegExp) =>
      expect(loadParquet(await folderOf(files), { size, ...options })).rejects.toThrow(message)
    await refused({}, {}, /no Parquet files/)
    await refused({ 'train-0.parquet': file, 'extra.parquet': file }, {}, /some are not: .*extra.parquet/)
    await refused({ 'a.parquet': file }, { split: 'test' }, /No Parquet file .* is named after a split/)
    await refused({ 'train-0.parquet': file }, { split: 'test' }, /no Parquet files of 'test'/)
    await refused({ 'data/train-0.parquet': file, 'default/train-0.parquet': file }, {}, /lie in several folders/)
    await refused({ 'a.parquet': file.subarray(0, 50) }, {}, /Cannot read the metadata of .*a.parquet/)
    await refused(
      { 'a.parquet': parquet([{ image: red.subarray(0, 60), label: 0 }]) },
      {},
      /image in row 0 of .*a.parquet/,
    )
    await refused({ 'a.parquet': file }, { labelColumn: 'kind' }, /has no column 'kind'/)
  })
})

describe('openDataset', () => {
  const idx = (split: string) => ({
    [`${split}-images-idx3-ubyte`]: writeIdx({ shape: [3, 2, 2], data: Uint8Array.from({ length: 12 }, (_, i) => i) }),
    [`${split}-labels-idx1-ubyte`]: writeIdx({ shape: [3], data: Uint8Array.of(0, 2, 1) }),
  })

  test('tells the kinds apart, and streams what is decoded', async () => {
    const folder = await openDataset(await folderOf({ 'cat/a.png': red, 'dog/b.png': blue }), {
      size,
      classes: ['dog'],
    })
    expect(isStreamed(folder)).toBe(true)
    expect(await contents(folder)).toEqual(['dog 001'])
    const file = await folderOf({ 'data/train-0.parquet': parquet([{ image: green, label: 0 }]) })
    for (const path of [file, join(file, 'data/train-0.parquet')]) {
      const dataset = await openDataset(path, { size, cacheBytes: 0 })
      expect(isStreamed(dataset)).toBe(true)
      expect(await contents(dataset)).toEqual(['0 010'])
    }
    const cifar = await openDataset(await folderOf({ 'data_batch_1.bin': records([3], [5]) }), { classes: ['dog'] })
    expect(isStreamed(cifar)).toBe(false)
    expect(cifar).toMatchObject({ count: 1, height: 32, classNames: ['dog'] })
    const digits = await openDataset(await folderOf(idx('train')))
    expect(isStreamed(digits)).toBe(false)
    expect(digits).toMatchObject({ count: 3, channels: 1, height: 2, classNames: ['0', '1', '2'] })
  })

  test('gives smaller IDX images a border, and resizes CIFAR and what is larger', async () => {
    const files = await folderOf({ ...idx('train'), ...idx('t10k') })
    const padded = await inMemory(await openDataset(files, { size: 4, split: 'test' }))
    expect([...padded.images.subarray(0, 16)]).toEqual([0, 0, 0, 0, 0, 0, 1, 0, 0, 2, 3, 0, 0, 0, 0, 0])
    // Also in colour, and where one of the sides is not smaller.
    const colour = await folderOf({
      'train-images-idx3-ubyte': writeIdx({ shape: [1, 3, 2, 2], data: new Uint8Array(12).fill(200) }),
      'train-labels-idx1-ubyte': writeIdx({ shape: [1], data: Uint8Array.of(0) }),
    })
    const { images } = await inMemory(await openDataset(colour, { size: 4 }))
    const plane = [0, 0, 0, 0, 0, 200, 200, 0, 0, 200, 200, 0, 0, 0, 0, 0]
    expect([...images]).toEqual([...plane, ...plane, ...plane])
    const wide = await folderOf({
      'train-images-idx3-ubyte': writeIdx({ shape: [1, 1, 3], data: Uint8Array.of(7, 8, 9) }),
      'train-labels-idx1-ubyte': writeIdx({ shape: [1], data: Uint8Array.of(0) }),
    })
    expect([...(await inMemory(await openDataset(wide, { size: 3 }))).images]).toEqual([0, 0, 0, 7, 8, 9, 0, 0, 0])
    const smaller = await inMemory(await openDataset(files, { size: 1, channels: 3 }))
    // The mean of 4, 5, 6 and 7 in all channels.
    expect(smaller).toMatchObject({ channels: 3, height: 1, width: 1 })
    expect([5, 6]).toContain(smaller.images[3])
    const large = await openDataset(await folderOf({ 'test_batch.bin': records([3], [5]) }), {
      size: 64,
      split: 'test',
    })
    expect(large).toMatchObject({ count: 2, channels: 3, height: 64, width: 64 })
    expect([...large.labels]).toEqual([3, 5])
    expect((await inMemory(large)).images.length).toBe(2 * 3 * 64 * 64)
  })

  test('gives images that are not square as they are, unless a size is asked for', async () => {
    const data = Uint8Array.from({ length: 2 * 2 * 3 }, (_, i) => i)
    const root = await folderOf({
      'train-images-idx3-ubyte': writeIdx({ shape: [2, 2, 3], data }),
      'train-labels-idx1-ubyte': writeIdx({ shape: [2], data: Uint8Array.of(0, 1) }),
    })
    const dataset = await openDataset(root)
    expect(dataset).toMatchObject({ channels: 1, height: 2, width: 3, images: data })
    expect(await openDataset(root, { channels: 1, classes: ['1'] })).toMatchObject({ images: data.subarray(6) })
    expect(await openDataset(root, { size: 2, channels: 3 })).toMatchObject({ channels: 3, height: 2, width: 2 })
    await expect(openDataset(root, { channels: 3 })).rejects.toMatchObject({
      code: 'shape',
      message: expect.stringMatching(/images of 2×3 pixels.*Give size/),
    })
  })

  test('tells which parts data has', async () => {
    const file = parquet([{ image: green, label: 0 }])
    const parts: [Record<string, Uint8Array>, Split[]][] = [
      [idx('train'), ['train']],
      [{ ...idx('train'), ...idx('t10k') }, ['train', 'test']],
      [{ 'data_batch_1.bin': records([3]) }, ['train']],
      [{ 'data_batch_1.bin': records([3]), 'test_batch.bin': records([3]) }, ['train', 'test']],
      [{ 'train.bin': records([4, 30]) }, ['train']],
      [{ 'train.bin': records([4, 30]), 'test.bin': records([4, 30]) }, ['train', 'test']],
      [{ 'data/train-0.parquet': file }, ['train']],
      [{ 'data/train-0.parquet': file, 'data/validation-0.parquet': file }, ['train', 'validation', 'test']],
      [{ 'a.parquet': file }, []],
      [{ 'train/cat/a.png': red }, ['train']],
      [{ 'train/cat/a.png': red, 'val/cat/a.png': red }, ['train', 'validation', 'test']],
      [{ 'train/cat/a.png': red, 'dev/cat/a.png': red }, ['train', 'validation']],
      [{ 'cat/a.png': red, 'train/b.png': red }, []],
    ]
    for (const [files, expected] of parts) {
      const path = await folderOf(files)
      const found: Split[] = []
      for (const split of ['train', 'validation', 'test'] as const) if (await hasPart(path, split)) found.push(split)
      expect(found, Object.keys(files).join(' ')).toEqual(expected)
    }
    expect(await hasPart(join(await folderOf({ 'train-0.parquet': file }), 'train-0.parquet'), 'train')).toBe(false)
    await expect(hasPart(await folderOf({}), 'test')).rejects.toThrow(/is an empty folder/)
    await expect(hasPart(await folderOf({ 'cat/a.png': red }), 'dev' as 'test')).rejects.toThrow(/split is "dev"/)
  })

  test('tells the data of a path from what it was before', async () => {
    const identity = async (files: Record<string, Uint8Array>) => {
      const path = await folderOf(files)
      return await dataIdentity(path, await openDataset(path, { size }))
    }
    const files = { 'cat/a.png': red, 'cat/c.png': red, 'dog/a.png': red }
    const before = await identity(files)
    expect(await identity({ ...files, 'cat/notes.txt': green })).toBe(before)
    const others = [
      { 'cat/b.png': red, 'cat/c.png': red, 'dog/a.png': red },
      { 'cat/a.png': red, 'cat/c.png': red, 'hen/a.png': red },
      { ...files, 'ant/a.png': red },
      { ...files, 'cat/b.png': red },
    ]
    for (const other of others) expect(await identity(other), Object.keys(other).join(' ')).not.toBe(before)
    const [one, two] = [0, 1].map((label) =>
      parquet(
        [
          { image: red, label },
          { image: red, label: 0 },
        ],
        { classNames: ['a', 'b'] },
      ),
    )
    expect(await identity({ 'a.parquet': one! })).not.toBe(await identity({ 'a.parquet': two! }))
  })

  test('refuses what is nothing, two things at once, or of any size', async () => {
    await expect(openDataset(await folderOf({ 'a.txt': '' }))).rejects.toThrow(
      /holds no dataset, only a.txt.*IDX files/,
    )
    const nothing = await folderOf({})
    await expect(openDataset(nothing)).rejects.toThrow(`${nothing} is an empty folder. Give a folder with one of IDX`)
    const flat = await folderOf({ '0013.jpg': red, '0014.HEIC': 'x' })
    await expect(openDataset(flat)).rejects.toThrow(
      /belong to no class: 0013.jpg, 0014.HEIC. Put the images of each class into a folder of its own.$/,
    )
    await expect(openDataset(join(flat, '0013.jpg'))).rejects.toThrow(
      /0013.jpg is a file, not a folder. Give the folder that the dataset is in.$/,
    )
    const both = await folderOf({ ...idx('train'), 'data_batch_1.bin': records([3]) })
    await expect(openDataset(both)).rejects.toThrow(/holds IDX files and CIFAR files at once/)
    await expect(openDataset(await folderOf({ 'cat/a.png': red }))).rejects.toThrow(/images of any size. Give size/)
    await expect(openDataset(await folderOf(idx('train')), { split: 'validation' })).rejects.toThrow(
      /no part 'validation'/,
    )
    await expect(openDataset(await folderOf({}), { splits: 1 } as object)).rejects.toThrow(/unknown option 'splits'/)
    await expect(openDataset('/nowhere/at/all')).rejects.toThrow(/Cannot read the folder/)
  })
})
