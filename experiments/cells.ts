// An experiment is a list of cells, each of which is computed once: results go to a JSON file after every cell, and a
// run that was stopped goes on with the cells that are missing.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dataError } from '../src/errors.ts'
import { differences } from '../src/io/index.ts'
import { writeFileAtomic } from '../src/node/index.ts'
import { tableOnly } from './scale.ts'

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
  /** What computed it, in one line. */
  readonly adapter: string
}

/** What all cells of an experiment have in common. */
export interface Experiment {
  readonly file: string
  readonly name: string
  /** What computes the cells, in one line. */
  readonly adapter: string
  /** What results follow from beside the keys: cells of other settings are not mixed. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** What an experiment's JSON file holds. */
export interface ExperimentFile<Key, Result> {
  readonly experiment: string
  readonly settings: Readonly<Record<string, unknown>>
  readonly cells: readonly CellResult<Key, Result>[]
}

/** The file's results, or none where there is no file. */
export async function readExperiment<Key, Result>(file: string): Promise<ExperimentFile<Key, Result> | undefined> {
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as ExperimentFile<Key, Result>) : undefined
}

/** Experiments whose cells were counted: one that computes them in several turns tells only what is missing. */
const counted = new Set<string>()

/**
 * Computes the cells that the file does not have yet, in order, and saves after each; with `--table`, none.
 * @throws Ld3mError `data` if the file's cells were computed with other settings
 */
export async function runCells<Key, Result>(
  { file, name, adapter, settings }: Experiment,
  cells: readonly Cell<Key, Result>[],
): Promise<readonly CellResult<Key, Result>[]> {
  const found = await readExperiment<Key, Result>(file)
  const differing = found ? differences(found.settings, JSON.parse(JSON.stringify(settings))) : []
  if (differing.length > 0) {
    throw dataError(`${file} holds cells of other settings: ${differing.join('; ')}.`, 'Move it away to begin anew.')
  }
  const done = [...(found?.cells ?? [])]
  const keys = new Set(done.map(({ key }) => JSON.stringify(key)))
  const missing = cells.filter(({ key }) => !keys.has(JSON.stringify(key)))
  if (missing.length > 0 || !counted.has(name)) {
    console.log(`${name}: ${done.length} cells are there, ${missing.length} are missing`)
    counted.add(name)
  }
  if (tableOnly) return done
  for (const [i, { key, run }] of missing.entries()) {
    const started = performance.now()
    const result = await run()
    const seconds = (performance.now() - started) / 1000
    done.push({ key, result, seconds, adapter })
    await writeFileAtomic(file, `${JSON.stringify({ experiment: name, settings, cells: done }, undefined, 1)}\n`)
    console.log(`${i + 1}/${missing.length} ${JSON.stringify(key)}: ${seconds.toFixed(0)} s`)
  }
  return done
}
