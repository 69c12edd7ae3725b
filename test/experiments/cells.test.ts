import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Cell, readExperiment, runCells } from '../../experiments/cells.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cells-'))
  vi.spyOn(console, 'log').mockImplementation(() => {})
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
})

interface Key {
  readonly size: number
}

const cell = (size: number, run: () => Promise<number>): Cell<Key, number> => ({ key: { size }, run })
const squares = (file: string, settings = { largest: 3 }) => ({
  file,
  name: 'squares',
  adapter: 'an adapter',
  settings,
})

const never = async (): Promise<number> => {
  throw new Error('computed twice')
}

test('an experiment that was stopped goes on with the cells that are missing', async () => {
  const file = join(folder, 'squares.json')
  const stopped = [cell(1, async () => 1), cell(2, async () => 4), cell(3, () => Promise.reject(new Error('stopped')))]
  await expect(runCells(squares(file), stopped)).rejects.toThrow('stopped')
  expect((await readExperiment<Key, number>(file))?.cells.map(({ result }) => result)).toEqual([1, 4])

  const cells = await runCells(squares(file), [cell(1, never), cell(2, never), cell(3, async () => 9)])
  expect(cells.map(({ key, result }) => [key.size, result])).toEqual([
    [1, 1],
    [2, 4],
    [3, 9],
  ])
  const saved = JSON.parse(await readFile(file, 'utf8'))
  expect(saved).toMatchObject({ experiment: 'squares', settings: { largest: 3 } })
  expect(saved.cells).toEqual(cells)
  expect(saved.cells[2]).toMatchObject({ key: { size: 3 }, result: 9, adapter: 'an adapter' })
})

test('cells of other settings are not mixed', async () => {
  const file = join(folder, 'squares.json')
  await runCells(squares(file), [cell(1, async () => 1)])
  await expect(runCells(squares(file, { largest: 4 }), [cell(2, never)])).rejects.toThrow(/largest \(3 before, 4 now\)/)
})

test('there are no results where there is no file', async () => {
  expect(await readExperiment(join(folder, 'none.json'))).toBeUndefined()
})
