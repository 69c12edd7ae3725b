// The Python that the documents show runs on what is exported. Not every machine has PyTorch, which npm cannot install:
// there, a missing module is all that may be wrong, and the files are held to the set by readers of the tests.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { channelStatistics, FASHION_MNIST_CLASSES, padTo } from '../../src/data/index.ts'
import { decodePng, readSafetensors } from '../../src/io/index.ts'
import { type DistilledSet, distilledToNpz, distilledToSafetensors } from '../../src/ld3m/index.ts'
import { loadIdx, writeImageFolder } from '../../src/node/index.ts'
import { realSet } from '../support/distilled.ts'
import { readNpz } from '../support/npy.ts'

const blocks = [...readFileSync('docs/train-in-pytorch.md', 'utf8').matchAll(/^```python\n(.*?)^```$/gms)].map(
  (match) => match[1] as string,
)
const [fromNpz, fromSafetensors, fromFolder, training] = blocks as [string, string, string, string]

let folder: string
let set: DistilledSet

beforeAll(async () => {
  const classNames = FASHION_MNIST_CLASSES
  const dataset = padTo(await loadIdx('assets/fashion-mnist', { split: 'train', classNames }), 32)
  set = realSet(dataset, 3, channelStatistics(dataset))
  folder = await mkdtemp(join(tmpdir(), 'ld3m-python-'))
  await symlink(resolve('assets'), join(folder, 'assets'))
  await writeFile(join(folder, 'distilled.npz'), distilledToNpz(set))
  await writeFile(join(folder, 'distilled.safetensors'), distilledToSafetensors(set))
  await writeImageFolder(join(folder, 'distilled'), set)
})
afterAll(() => rm(folder, { recursive: true }))

/** What a script prints, or the module that it misses. Any other end of it is an error. */
async function python(script: string): Promise<{ printed: string } | { missing: string }> {
  // The system's interpreter, whose packages a system's PyTorch is among.
  try {
    // One thread: several wait for each other where cores are busy.
    const options = { cwd: folder, env: { ...process.env, OMP_NUM_THREADS: '1' } }
    return { printed: (await promisify(execFile)('/usr/bin/python3', ['-c', script], options)).stdout }
  } catch (error) {
    const { code, stderr } = error as { code: unknown; stderr: string }
    if (code === 'ENOENT') return { missing: 'python3' }
    const missing = /^ModuleNotFoundError: No module named '(\w+)/m.exec(stderr)?.[1]
    if (missing === undefined) throw error
    return { missing }
  }
}

/** Labels and pixels of the set as text, the latter in units of 1/255, exact for images of 8 bits. */
const content = (labels: readonly number[], pixels: readonly number[]): string =>
  `${labels.join(' ')}\n${pixels.map((value) => Math.round(value * 255)).join(' ')}`

const CONTENT = `
print(*labels.tolist())
print(*(images * 255).round().int().flatten().tolist())`

describe('the Python of docs/train-in-pytorch.md', () => {
  test('is three ways to load a set, and a training', () => {
    expect(blocks).toHaveLength(4)
    for (const way of [fromNpz, fromSafetensors, fromFolder]) expect(way).toMatch(/\bimages\b.* = /)
  })

  test.each([
    ['npz', () => fromNpz, fromNpzByHand, ['numpy', 'torch']],
    ['safetensors', () => fromSafetensors, fromSafetensorsByHand, ['torch', 'safetensors']],
    ['a folder of images', () => fromFolder, fromFolderByHand, ['torch', 'torchvision']],
  ] as const)('loads %s: the labels and pixels of the set', async (_, script, byHand, modules) => {
    const expected = content([...set.labels], [...set.images.data])
    expect(await byHand()).toBe(expected)
    const outcome = await python(script() + CONTENT)
    if ('missing' in outcome) expect(['python3', ...modules]).toContain(outcome.missing)
    else expect(outcome.printed.trim()).toBe(expected)
  })

  test('trains a network that tells real images apart', async () => {
    expect([...readNpz(await readFile(join(folder, 'distilled.npz'))).keys()]).toEqual(
      expect.arrayContaining(['images', 'labels', 'mean', 'std']),
    )
    const outcome = await python(fromNpz + training)
    if ('missing' in outcome) expect(['python3', 'numpy', 'torch']).toContain(outcome.missing)
    // Thirty real images give about 0.65; chance is 0.1.
    else expect(Number(/^test accuracy: (0\.\d{3})$/m.exec(outcome.printed)?.[1])).toBeGreaterThan(0.5)
  })
})

async function fromNpzByHand(): Promise<string> {
  const arrays = readNpz(await readFile(join(folder, 'distilled.npz')))
  return content(arrays.get('labels')!.values as number[], arrays.get('images')!.values as number[])
}

async function fromSafetensorsByHand(): Promise<string> {
  const { tensors } = readSafetensors(await readFile(join(folder, 'distilled.safetensors')))
  const values = (name: string) => Array.from(tensors.get(name)!.data as Float32Array)
  return content(values('labels'), values('images'))
}

async function fromFolderByHand(): Promise<string> {
  const root = join(folder, 'distilled')
  const classes = (await readdir(root, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const labels: number[] = []
  const pixels: number[] = []
  for (const [label, name] of classes
    .map(({ name }) => name)
    .sort()
    .entries()) {
    for (const file of (await readdir(join(root, name))).sort()) {
      labels.push(label)
      for (const value of decodePng(await readFile(join(root, name, file))).data) pixels.push(value / 255)
    }
  }
  return content(labels, pixels)
}
