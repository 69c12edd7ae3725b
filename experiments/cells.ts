// An experiment is a list of cells, each of which is computed once: results go to a JSON file after every cell, and a
// run that was stopped goes on with the cells that are missing.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { writeFileAtomic } from '../src/node/index.ts'

/** One measurement: what identifies it, and what computes it. */
export interface Cell<Key, Result> {
  readonly key: Key
  readonly run: () => Promise<Result>
}

/** A computed cell. */
export interface CellResult<Key, Result> {
  readonly key: Key
  readonly result: Result
  /** Seconds that it took. */
  readonly seconds: number
}

/** What an experiment's JSON file holds. */
export interface ExperimentFile<Key, Result> {
  readonly experiment: string
  /** What computed the cells, in one line. */
  readonly adapter: string
  readonly cells: readonly CellResult<Key, Result>[]
}

/** The file's results, or none where there is no file. */
export async function readExperiment<Key, Result>(file: string): Promise<ExperimentFile<Key, Result> | undefined> {
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as ExperimentFile<Key, Result>) : undefined
}

/** Computes the cells that the file does not have yet, in order, and saves after each. */
export async function runCells<Key, Result>(
  file: string,
  experiment: string,
  adapter: string,
  cells: readonly Cell<Key, Result>[],
): Promise<ExperimentFile<Key, Result>> {
  const found = await readExperiment<Key, Result>(file)
  const done = [...(found?.cells ?? [])]
  const keys = new Set(done.map(({ key }) => JSON.stringify(key)))
  const missing = cells.filter(({ key }) => !keys.has(JSON.stringify(key)))
  console.log(`${experiment}: ${done.length} cells are there, ${missing.length} to compute`)
  for (const [i, { key, run }] of missing.entries()) {
    const started = performance.now()
    const result = await run()
    const seconds = (performance.now() - started) / 1000
    done.push({ key, result, seconds })
    await writeFileAtomic(file, `${JSON.stringify({ experiment, adapter, cells: done }, undefined, 1)}\n`)
    console.log(`${i + 1}/${missing.length} ${JSON.stringify(key)}: ${seconds.toFixed(0)} s`)
  }
  return { experiment, adapter, cells: done }
}
