// What is in the folder of a run, and reading it.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataError, Ld3mError, optionError } from '../errors.ts'
import { type DistilledSet, distilledFromSafetensors } from '../ld3m/index.ts'
import { listFolder } from './folders.ts'
import { anyImage } from './image-folder.ts'
import { type DatasetKind, datasetKind } from './open-dataset.ts'
import type { RecordedAccuracies } from './run-accuracies.ts'
import type { RunConfig } from './run-description.ts'

/** What `metrics.json` holds. */
export interface RunMetrics extends RecordedAccuracies {
  /** How far the run came: 'distilling', 'evaluating', 'finished', or why it stopped. */
  readonly status: string
  /** What distilled, in one line. */
  readonly adapter: string
  /** Seconds that the run took, all its parts together. */
  readonly seconds: number
  readonly iterations: number
  /** The objective's loss at every iteration. */
  readonly loss: readonly number[]
  /** The most GPU bytes in use at once. */
  readonly peakBytes: number
}

/** The distilled set. */
export const SET_FILE = 'distilled.safetensors'

/** Throws if a folder without a run in it is that of a dataset, which files beside it would break. */
export async function checkRunFolder(path: string): Promise<void> {
  if (existsSync(join(path, 'metrics.json'))) return
  const kind = await datasetIn(path)
  if (kind === undefined) return
  throw optionError(`${path} is not a run's folder: it holds ${kind}.`, 'Give a folder of its own, such as runs/first.')
}

/** The kind of dataset that a folder is of, if it is that of one. */
async function datasetIn(path: string): Promise<DatasetKind | undefined> {
  const kind = await datasetKind(path).catch((error: unknown) => {
    if (error instanceof Ld3mError && error.code === 'data') return undefined
    throw error
  })
  if (kind !== 'folders of images') return kind
  const { folders } = await listFolder(path)
  const images = await Promise.all(folders.map((folder) => anyImage(join(path, folder))))
  return images.includes(true) ? kind : undefined
}

/**
 * The distilled set that a run has saved in its folder, the last one so far.
 * @throws Ld3mError `data` if there is none, or it is broken
 */
export const readRunResult = async (directory: string): Promise<DistilledSet> =>
  distilledFromSafetensors(await readRunFile(directory, SET_FILE))

/**
 * What a run was asked to do, as `config.json` in its folder has it.
 * @throws Ld3mError `data` if there is none, or it is broken
 */
export const readRunConfig = (directory: string): Promise<RunConfig> => readRunJson(directory, 'config.json')

/**
 * How far a run came, as `metrics.json` in its folder has it.
 * @throws Ld3mError `data` if there is none, or it is broken
 */
export async function readRunMetrics(directory: string): Promise<RunMetrics> {
  const metrics = await readRunJson(directory, 'metrics.json')
  if (Array.isArray(metrics?.loss) && metrics.accuracy?.distilled && metrics.accuracy.randomReal) return metrics
  throw dataError(`${join(directory, 'metrics.json')} is not a run's.`, 'Distil again.')
}

// biome-ignore lint/suspicious/noExplicitAny: what JSON holds; the caller says what it should be.
async function readRunJson(directory: string, name: string): Promise<any> {
  const text = new TextDecoder().decode(await readRunFile(directory, name))
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw dataError(`${join(directory, name)} is not JSON: ${(cause as Error).message}.`, 'Distil again.', cause)
  }
}

async function readRunFile(directory: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(join(directory, name))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const fix = 'Name the folder of a distillation that has saved something.'
    if (code !== 'ENOENT') throw dataError(`Cannot read ${join(directory, name)}: ${message}.`, fix, cause)
    const kind = await datasetIn(directory)
    const holds = kind === undefined ? `there is no ${name} in it` : `it holds ${kind}`
    throw dataError(`${directory} is not a run's folder: ${holds}.`, fix, cause)
  }
}
