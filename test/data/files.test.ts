import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { channelStatistics, FASHION_MNIST_CLASSES, indicesByClass } from '../../src/data/index.ts'
import { decodePng, encodePng, type StoredTensor, writeIdx } from '../../src/io/index.ts'
import { openRunDirectory, readTensors, writeFileAtomic, writeTensors } from '../../src/node/files.ts'
import { loadIdx } from '../../src/node/idx.ts'

const fashion = fileURLToPath(new URL('../../assets/fashion-mnist/', import.meta.url))
const images = writeIdx({ shape: [2, 1, 1], data: Uint8Array.of(5, 6) })
const labels = writeIdx({ shape: [2], data: Uint8Array.of(0, 1) })
const tensors = new Map<string, StoredTensor>([['w', { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }]])

let root: string
let folders = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ld3m-files-'))
})
afterAll(async () => {
  await rm(root, { recursive: true })
})

async function folderWith(files: Record<string, Uint8Array>): Promise<string> {
  const folder = join(root, `folder-${folders++}`)
  await mkdir(folder)
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
  return folder
}

describe('the part of Fashion-MNIST in assets', () => {
  test('holds 500 training and 100 test images of each class', async () => {
    const train = await loadIdx(fashion, { classNames: FASHION_MNIST_CLASSES })
    expect(train).toMatchObject({ name: 'fashion-mnist', count: 5000, channels: 1, height: 28, width: 28 })
    expect(indicesByClass(train).map((indices) => indices.length)).toEqual(Array(10).fill(500))
    const held = await loadIdx(fashion, { split: 'test', classNames: FASHION_MNIST_CLASSES })
    expect(held.count).toBe(1000)
    expect(indicesByClass(held).map((indices) => indices.length)).toEqual(Array(10).fill(100))
  })

  test('has the statistics of Fashion-MNIST, to two digits', async () => {
    const { mean, std } = channelStatistics(await loadIdx(fashion))
    expect(mean[0]).toBeCloseTo(0.286, 2)
    expect(std[0]).toBeCloseTo(0.353, 2)
  })

  test('stays below 4 MB', async () => {
    const files = await Promise.all((await readdir(fashion)).map((name) => readFile(join(fashion, name))))
    expect(files.reduce((sum, file) => sum + file.length, 0)).toBeLessThan(4_000_000)
    expect(gunzipSync(await readFile(join(fashion, 'train-images-idx3-ubyte.gz')))).toHaveLength(16 + 5000 * 784)
  })
})

describe('loadIdx', () => {
  test.each([
    ['train-images-idx3-ubyte', 'train-labels-idx1-ubyte', 'train'],
    ['train-images.idx3-ubyte', 'train-labels.idx1-ubyte', 'train'],
    ['t10k-images-idx3-ubyte', 't10k-labels.idx1-ubyte', 'test'],
    ['test-images-idx3-ubyte', 'test-labels-idx1-ubyte', 'test'],
  ] as const)('finds %s and %s, with .gz and without', async (imagesName, labelsName, split) => {
    const plain = await folderWith({ [imagesName]: images, [labelsName]: labels })
    const packed = await folderWith({ [`${imagesName}.gz`]: gzipSync(images), [`${labelsName}.gz`]: gzipSync(labels) })
    for (const folder of [plain, packed]) {
      const dataset = await loadIdx(folder, { split })
      expect([...dataset.images, ...dataset.labels]).toEqual([5, 6, 0, 1])
    }
  })

  test('says what it looked for and what is there', async () => {
    const folder = await folderWith({ 'train-images-idx3-ubyte': images, 'notes.txt': labels })
    const error = await loadIdx(folder).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'data' })
    expect(String(error)).toMatch(/no train labels/)
    expect(String(error)).toContain('train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz, train-labels.idx1-ubyte')
    expect(String(error)).toContain('the folder holds notes.txt, train-images-idx3-ubyte')
    expect(String(await loadIdx(await folderWith({})).catch((e: unknown) => e))).toContain('the folder holds nothing')
  })

  test('names the damaged file', async () => {
    const folder = await folderWith({
      'train-images-idx3-ubyte': images.slice(0, 17),
      'train-labels-idx1-ubyte': labels,
    })
    await expect(loadIdx(folder)).rejects.toThrow(join(folder, 'train-images-idx3-ubyte'))
  })

  test('refuses a folder that is not there, and splits it does not know', async () => {
    await expect(loadIdx(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'data' })
    await expect(loadIdx(fashion, { split: 'dev' as 'test' })).rejects.toMatchObject({ code: 'option' })
    await expect(loadIdx(fashion, { splits: 'test' } as object)).rejects.toMatchObject({ code: 'option' })
  })
})

describe('writeFileAtomic', () => {
  test('replaces a file whole and leaves nothing else behind', async () => {
    const folder = await folderWith({ 'a.txt': Uint8Array.of(1, 2, 3, 4) })
    await Promise.all(['xx', 'yy', 'zz'].map(async (text) => await writeFileAtomic(join(folder, 'a.txt'), text)))
    expect(await readFile(join(folder, 'a.txt'), 'utf8')).toMatch(/^(xx|yy|zz)$/)
    expect(await readdir(folder)).toEqual(['a.txt'])
  })

  test('keeps the old file and cleans up when the new one cannot take its place', async () => {
    const folder = await folderWith({})
    await mkdir(join(folder, 'taken'))
    await expect(writeFileAtomic(join(folder, 'taken'), 'x')).rejects.toMatchObject({ code: 'data' })
    await expect(writeFileAtomic(join(folder, 'nowhere', 'a'), 'x')).rejects.toThrow(
      /folder that exists and is writable/,
    )
    expect(await readdir(folder)).toEqual(['taken'])
  })
})

describe('tensor files', () => {
  test('come back as they were written', async () => {
    const path = join(await folderWith({}), 'w.safetensors')
    await writeTensors(path, tensors, { step: '3' })
    expect(await readTensors(path)).toEqual({ tensors, metadata: { step: '3' } })
  })

  test('that are missing, damaged or a folder are named in the error', async () => {
    const folder = await folderWith({ 'bad.safetensors': Uint8Array.of(1) })
    for (const path of [join(folder, 'bad.safetensors'), join(folder, 'none.safetensors'), folder]) {
      const error = await readTensors(path).catch((e: unknown) => e)
      expect(error).toMatchObject({ code: 'data' })
      expect(String(error)).toContain(path)
    }
  })
})

describe('a run directory', () => {
  test('is made with its parents and takes every kind of file, in subfolders too', async () => {
    const run = await openRunDirectory(join(root, 'runs', 'first'))
    const image = { width: 1, height: 1, channels: 1, data: Uint8Array.of(7) } as const
    await run.writeJson('config.json', { lr: 0.5, steps: [1, 2] })
    await run.writeBytes('images/0001.png', encodePng(image))
    await run.writeTensors('state.safetensors', tensors)
    await run.writeHtml('report.html', '<p>é</p>')
    expect(JSON.parse(await readFile(run.pathOf('config.json'), 'utf8'))).toEqual({ lr: 0.5, steps: [1, 2] })
    expect(decodePng(await readFile(join(run.path, 'images', '0001.png')))).toEqual(image)
    expect((await readTensors(run.pathOf('state.safetensors'))).tensors).toEqual(tensors)
    expect(await readFile(run.pathOf('report.html'), 'utf8')).toBe('<p>é</p>')
    expect((await readdir(run.path)).sort()).toEqual(['config.json', 'images', 'report.html', 'state.safetensors'])
  })

  test('does not let a name leave it', async () => {
    const run = await openRunDirectory(join(root, 'runs', 'second'))
    for (const name of ['../a.json', 'x/../../a.json', '/a.json', '', '.', '..', 'folder/']) {
      await expect(run.writeJson(name, 1)).rejects.toMatchObject({ code: 'option' })
    }
    await run.writeJson('..a.json', 1)
  })

  test('does not turn NaN into null', async () => {
    const run = await openRunDirectory(join(root, 'runs', 'third'))
    await expect(run.writeJson('a.json', { loss: Number.NaN })).rejects.toThrow(/'loss' is NaN/)
    expect(await readdir(run.path)).toEqual([])
  })

  test('cannot be made where a file stands', async () => {
    const folder = await folderWith({ file: Uint8Array.of(1) })
    await expect(openRunDirectory(join(folder, 'file', 'run'))).rejects.toMatchObject({ code: 'data' })
  })
})
