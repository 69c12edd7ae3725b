// What is in the folder of a run, and reading it.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataError, Ld3mError, optionError } from '../errors.ts'
import { type DistilledSet, distilledFromSafetensors } from '../ld3m/index.ts'
import { listFolder } from './folders.ts'
import { anyImage } from './image-folder.ts'
import { datasetKind } from './open-dataset.ts'
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
  const kind = await datasetKind(path).catch((error: unknown) => {
    if (error instanceof Ld3mError && error.code === 'data') return undefined
    throw error
  })
  if (kind === undefined) return
  if (kind === 'folders of images') {
    const { folders } = await listFolder(path)
    const images = await Promise.all(folders.map((folder) => anyImage(join(path, folder))))
    if (!images.includes(true)) return
  }
  throw optionError(`${path} is not a run's folder: it holds ${kind}.`, 'Give a folder of its own, such as runs/first.')
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
    const what = `Cannot read ${join(directory, name)}: ${(cause as Error).message}.`
    throw dataError(what, 'Name the folder of a distillation that has saved something.', cause)
  }
}
