import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { distilledToImageFolder } from '../../src/ld3m/index.ts'
import { loadImageFolder, writeImageFolder } from '../../src/node/index.ts'
import { randomSet } from '../support/distilled.ts'
import { folderOf } from '../support/image-files.ts'

const set = randomSet(['ant', 'bee', 'cat'], 2, [3, 4, 4])

/** Every file below a folder, by path with slashes. */
async function filesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {}
  for (const path of await readdir(folder, { recursive: true })) {
    if ((await stat(join(folder, path))).isFile()) {
      files[path.replaceAll('\\', '/')] = new Uint8Array(await readFile(join(folder, path)))
    }
  }
  return files
}

describe('writeImageFolder', () => {
  test('writes the files of the set, in folders that it makes, and leaves nothing beside them', async () => {
    const root = await folderOf({})
    await writeImageFolder(join(root, 'a', 'b'), set)
    expect(await filesOf(root)).toEqual(
      Object.fromEntries([...distilledToImageFolder(set)].map(([path, bytes]) => [`a/b/${path}`, bytes])),
    )
  })

  test('writes what loadImageFolder reads: the same classes, labels and pixels of 8 bits', async () => {
    const root = await folderOf({})
    await writeImageFolder(join(root, 'set'), set)
    const dataset = await loadImageFolder(join(root, 'set'), { size: 4 })
    expect(dataset.classNames).toEqual(set.classNames)
    expect([...dataset.labels]).toEqual([...set.labels])
    expect([...dataset.images]).toEqual(Array.from(set.images.data, (value) => Math.round(255 * value)))
  })

  test('takes an empty folder, and refuses one that is not', async () => {
    const root = await folderOf({ 'mine/notes.txt': 'mine' })
    await mkdir(join(root, 'empty'))
    await writeImageFolder(join(root, 'empty'), set)
    expect(await readdir(join(root, 'empty'))).toEqual(['ant', 'bee', 'cat', 'distilled.json'])
    const refused = { code: 'option', message: expect.stringMatching(/mine is not empty.*\(--force\)/) }
    await expect(writeImageFolder(join(root, 'mine'), set)).rejects.toMatchObject(refused)
    await expect(writeImageFolder(join(root, 'empty'), set)).rejects.toMatchObject({ code: 'option' })
  })

  test('replaces an earlier export as a whole, and nothing else', async () => {
    const root = await folderOf({ 'mine/notes.txt': 'mine' })
    const folder = join(root, 'set')
    await writeImageFolder(folder, randomSet(['x', 'y'], 3))
    await writeImageFolder(folder, set, { replace: true })
    expect(Object.keys(await filesOf(folder)).sort()).toEqual([...distilledToImageFolder(set).keys()].sort())
    const refused = { code: 'option', message: expect.stringMatching(/holds no export: there is no distilled.json/) }
    await expect(writeImageFolder(join(root, 'mine'), set, { replace: true })).rejects.toMatchObject(refused)
    expect((await readdir(root)).sort()).toEqual(['mine', 'set'])
    expect(await readFile(join(root, 'mine', 'notes.txt'), 'utf8')).toBe('mine')
  })

  test('replaces no export that something else was put into', async () => {
    const root = await folderOf({})
    const folder = join(root, 'set')
    await writeImageFolder(folder, set)
    for (const foreign of ['checkpoints/model.pt', 'ant/notes.txt', 'masks/0.png', 'ant/old/0.png', '.git/HEAD']) {
      await mkdir(dirname(join(folder, foreign)), { recursive: true })
      await writeFile(join(folder, foreign), 'hours of work')
      const before = await filesOf(root)
      const [first, second] = foreign.split('/') as [string, string]
      const named = `holds what no export wrote: ${set.classNames.includes(first) ? `${first}/${second}` : first}`
      const refused = { code: 'option', message: expect.stringContaining(named) }
      await expect(writeImageFolder(folder, set, { replace: true })).rejects.toMatchObject(refused)
      expect(await filesOf(root)).toEqual(before)
      await rm(join(folder, first === 'ant' ? `ant/${second}` : first), { recursive: true })
    }
    await writeFile(join(folder, 'distilled.json'), 'of something else')
    await expect(writeImageFolder(folder, set, { replace: true })).rejects.toThrow(/no export wrote: ant, ant.0.png/)
  })

  test('leaves an earlier export as it was where the set cannot be written', async () => {
    const root = await folderOf({})
    const folder = join(root, 'set')
    await writeImageFolder(folder, set)
    const before = await filesOf(root)
    const broken = { ...set, labels: Int32Array.of(0) }
    await expect(writeImageFolder(folder, broken, { replace: true })).rejects.toMatchObject({ code: 'shape' })
    expect(await filesOf(root)).toEqual(before)
  })

  test('leaves no part of a folder where writing fails', async () => {
    const root = await folderOf({ file: '' })
    await expect(writeImageFolder(join(root, 'file'), set)).rejects.toThrow(/Cannot read the folder .*file: ENOTDIR/)
    await expect(writeImageFolder(join(root, 'file', 'set'), set)).rejects.toMatchObject({ code: 'data' })
    // A link to nowhere looks like nothing, and cannot become a folder.
    await symlink(join(root, 'nowhere'), join(root, 'link'))
    await expect(writeImageFolder(join(root, 'link'), set)).rejects.toThrow(/Cannot write the folder .*link/)
    expect((await readdir(root)).sort()).toEqual(['file', 'link'])
  })

  test('refuses options that it does not know', async () => {
    const options = { force: true } as object
    await expect(writeImageFolder('x', set, options)).rejects.toThrow(/writeImageFolder: unknown option 'force'/)
  })
})
