import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { AnyDataset } from '../data/index.ts'
import { dataError, Ld3mError, optionError } from '../errors.ts'
import { differences, imageGrid } from '../io/index.ts'
import {
  type EncodeProgress,
  judgePrior,
  type Prior,
  type PriorTraining,
  planPriorTraining,
  type TrainedPrior,
  TrainingStopped,
  type TrainPriorOptions,
  type TrainProgress,
  trainPrior,
} from '../ld3m/index.ts'
import { counted } from '../words.ts'
import { openRunDirectory, type RunDirectory, readIfThere, writeFileAtomic } from './files.ts'
import { interruptible } from './interrupt.ts'
import { LatentsFolder } from './latents-folder.ts'
import { loadPrior } from './prior.ts'
import { bar, formatDuration, ProgressLine } from './progress.ts'
import { lockFolder } from './run-lock.ts'

/** Seconds between saves of the state so far. */
const SAVE_EVERY = 60
const STAGES = ['autoencoder', 'denoiser'] as const

/** What `PRIOR.training.json` holds. */
interface TrainingRecord extends PriorTraining {
  /** Mean losses, one for each `every` steps. */
  readonly curves: { readonly autoencoder: readonly number[]; readonly denoiser: readonly number[] }
  readonly every: 20
  /** Added once it is measured. PSNR in dB of the autoencoder on `count` of the images; null where it gives back every pixel. */
  readonly reconstruction?: { readonly count: number; readonly psnr: number | null }
}

/** Pixels of a picture's cells, about. */
const CELL = 96

type TrainPriorFileOptions = Omit<TrainPriorOptions, 'resume' | 'signal' | 'onProgress' | 'onEncode'>

/**
 * Trains a prior into a safetensors file, with progress on the terminal. Beside it are written what it was trained by, its
 * losses and how good it is (`PATH.training.json`), and a picture of that (`PATH.png`, see `judgePrior`). The state is saved
 * once a minute and on Ctrl-C (in the folder `PATH.state`, until the training is done): called again with the same options,
 * it goes on from there, and ends with the same file as a training that was not interrupted. A prior that is done is loaded;
 * it is written before it is looked at, so that an error there does not lose it.
 * @throws Ld3mError as `trainPrior` does; `option` if what is there was trained otherwise, or another process trains it;
 * `aborted` on Ctrl-C
 */
export async function trainPriorFile(path: string, options: TrainPriorFileOptions): Promise<Prior> {
  const training = planPriorTraining(options as TrainPriorOptions)
  if (existsSync(path)) return await loadTrained(path, training, options)

  await openRunDirectory(dirname(resolve(path)))
  const folder = await openRunDirectory(`${path}.state`)
  const unlock = lockFolder(folder.path)
  const line = new ProgressLine()
  try {
    const { prior, curves } = await trainFrom(path, folder, options, line)
    try {
      const record: TrainingRecord = { ...training, curves, every: 20 }
      // The record is first, so that no prior is without one.
      await writeRecord(path, record)
      await writeFileAtomic(path, await prior.toSafetensors())
      await rm(folder.path, { recursive: true })
      line.update('looking at what the prior draws')
      await judge(path, prior, options.dataset, record, line)
      return prior
    } catch (error) {
      prior.dispose()
      line.end()
      if (existsSync(path)) process.stdout.write(`${path} is trained; the next call loads it.\n`)
      throw error
    }
  } finally {
    line.end()
    unlock()
  }
}

/** Trains a prior from the state in a folder, which is saved there as it changes. */
async function trainFrom(
  path: string,
  folder: RunDirectory,
  options: TrainPriorFileOptions,
  line: ProgressLine,
): Promise<TrainedPrior> {
  const stateOf = (stage: string) => `${stage}.safetensors`
  const [autoencoder, denoiser] = await Promise.all(STAGES.map((s) => readIfThere(folder.pathOf(stateOf(s)))))
  let lastSave = performance.now()
  const onProgress = async ({ stage, step, steps, loss, secondsLeft, save }: TrainProgress) => {
    line.update(
      `${stage} ${bar(step / steps)} ${step}/${steps}  loss ${loss.toPrecision(4)}  ${formatDuration(secondsLeft)} left`,
      step === steps,
    )
    if (step !== steps && performance.now() - lastSave < SAVE_EVERY * 1000) return
    await folder.writeBytes(stateOf(stage), await save())
    lastSave = performance.now()
  }
  const encodings = new LatentsFolder(folder)
  const onEncode = async ({ encoded, count, secondsLeft, latents }: EncodeProgress) => {
    line.update(
      `encoding ${bar(encoded / count)} ${encoded}/${count}  ${formatDuration(secondsLeft)} left`,
      encoded === count,
    )
    encodings.add(latents)
    if (encoded !== count && performance.now() - lastSave < SAVE_EVERY * 1000) return
    await encodings.save()
    lastSave = performance.now()
  }
  const resume = { autoencoder, latents: await encodings.read(), denoiser }
  try {
    return await interruptible(
      (signal) => trainPrior({ ...(options as TrainPriorOptions), resume, signal, onProgress, onEncode }),
      line,
    )
  } catch (error) {
    await encodings.save()
    if (error instanceof TrainingStopped) {
      const { stage, state } = error
      if (state) await folder.writeBytes(stateOf(stage), state)
      line.end()
      process.stdout.write(`The state is in ${path}.state; the same call goes on from there.\n`)
    }
    if (
      error instanceof Ld3mError &&
      error.code === 'numeric' &&
      (await readdir(folder.path)).some((name) => name.endsWith('.safetensors'))
    ) {
      line.end()
      process.stdout.write(`What was saved is in ${path}.state; delete the file of a stage to begin that anew.\n`)
    }
    throw error
  }
}

/** Writes how good a prior is: into its record, and as a picture beside it. */
async function judge(
  path: string,
  prior: Prior,
  dataset: AnyDataset,
  record: TrainingRecord,
  line: ProgressLine,
): Promise<void> {
  const { picture, columns, count, psnr } = await judgePrior(prior, dataset, { seed: record.seed })
  const scale = Math.max(1, Math.round(CELL / dataset.height))
  await writeFileAtomic(`${path}.png`, imageGrid({ images: picture.data, shape: picture.shape, columns, scale }))
  await writeRecord(path, { ...record, reconstruction: { count, psnr } })
  line.end()
  process.stdout.write(
    `The autoencoder gives ${counted(count, 'training image')} back at ${psnr.toFixed(1)} dB (PSNR). ` +
      `${path}.png shows, in rows, images, what comes back of them, and samples of their classes.\n`,
  )
}

const writeRecord = (path: string, record: TrainingRecord): Promise<void> =>
  writeFileAtomic(`${path}.training.json`, `${JSON.stringify(record)}\n`)

/** A prior that an earlier call finished. */
async function loadTrained(
  path: string,
  training: PriorTraining,
  { device }: Pick<TrainPriorOptions, 'device'>,
): Promise<Prior> {
  const bytes = await readIfThere(`${path}.training.json`)
  const fix = 'Give another file name, or load it with loadPrior.'
  if (!bytes) throw optionError(`${path} is there already, without a record of how it was trained.`, fix)
  // What is measured says nothing of how it was trained.
  const {
    curves: _curves,
    every: _every,
    reconstruction: _reconstruction,
    ...before
  } = parse(`${path}.training.json`, bytes)
  const differing = differences(before, JSON.parse(JSON.stringify(training)))
  if (differing.length > 0) {
    throw optionError(`${path} is there already, trained otherwise: ${differing.slice(0, 5).join(', ')}.`, fix)
  }
  process.stdout.write(`${path} is trained already.\n`)
  return await loadPrior(device, path)
}

function parse(path: string, bytes: Uint8Array): Partial<TrainingRecord> {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw dataError(`${path} is not JSON.`, 'Delete it and the prior beside it to train again.', cause)
  }
}
