// `PRIOR.training.json`, beside a prior that `trainPriorFile` trained: what it was trained by, and how good it is.
import type { AnyDataset } from '../data/index.ts'
import { dataError, optionError } from '../errors.ts'
import { differences, imageGrid } from '../io/index.ts'
import { judgePrior, type Prior, type PriorTraining } from '../ld3m/index.ts'
import { counted } from '../words.ts'
import { readIfThere, writeFileAtomic } from './files.ts'

export interface TrainingRecord extends PriorTraining {
  /** Mean losses, one for each `every` steps. */
  readonly curves: { readonly autoencoder: readonly number[]; readonly denoiser: readonly number[] }
  readonly every: 20
  /** Added once it is measured. PSNR in dB of the autoencoder on `count` of the images; null where it gives back every pixel. */
  readonly reconstruction?: { readonly count: number; readonly psnr: number | null }
}

/** Pixels of a picture's cells, about. */
const CELL = 96

/** Of the prior in `assets`, on test images (docs/prior.md): what a number may be held against. */
const DEMO_PSNR = 23.4

const fileOf = (prior: string): string => `${prior}.training.json`

export const writeTrainingRecord = (prior: string, record: TrainingRecord): Promise<void> =>
  writeFileAtomic(fileOf(prior), `${JSON.stringify(record)}\n`)

/**
 * The record of a prior that an earlier call finished.
 * @throws Ld3mError `option` if there is none, or it was trained otherwise; `data` if the record is damaged
 */
export async function readTrainingRecord(prior: string, training: PriorTraining): Promise<TrainingRecord> {
  const bytes = await readIfThere(fileOf(prior))
  const fix = 'Give another file name, or load it with loadPrior.'
  if (!bytes) throw optionError(`${prior} is there already, without a record of how it was trained.`, fix)
  const record = parse(fileOf(prior), bytes)
  // What is measured says nothing of how it was trained.
  const { curves: _curves, every: _every, reconstruction: _reconstruction, ...before } = record
  const differing = differences(before, JSON.parse(JSON.stringify(training)))
  if (differing.length > 0) {
    throw optionError(`${prior} is there already, trained otherwise: ${differing.slice(0, 5).join(', ')}.`, fix)
  }
  return record
}

function parse(path: string, bytes: Uint8Array): TrainingRecord {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw dataError(`${path} is not JSON.`, 'Delete it and the prior beside it to train again.', cause)
  }
}

/**
 * Writes how good a prior is: into its record, and as a picture beside it.
 * @returns the same in words
 */
export async function recordJudgement(
  path: string,
  prior: Prior,
  dataset: AnyDataset,
  record: TrainingRecord,
): Promise<string> {
  const { picture, columns, count, psnr } = await judgePrior(prior, dataset, { seed: record.seed })
  const scale = Math.max(1, Math.round(CELL / dataset.height))
  await writeFileAtomic(`${path}.png`, imageGrid({ images: picture.data, shape: picture.shape, columns, scale }))
  await writeTrainingRecord(path, { ...record, reconstruction: { count, psnr } })
  return (
    `The autoencoder gives ${counted(count, 'training image')} back at ${psnr.toFixed(1)} dB (PSNR); ` +
    `that of the demo's prior, ${DEMO_PSNR} dB. ` +
    `${path}.png shows, in rows, images, what comes back of them, and samples of their classes.\n`
  )
}
