import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { type AnyDataset, checkReadable } from '../data/index.ts'
import { Ld3mError } from '../errors.ts'
import {
  type EncodeProgress,
  type Prior,
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
import { readTrainingRecord, recordJudgement, type TrainingRecord, writeTrainingRecord } from './training-record.ts'

/** Seconds between saves of the state so far. */
const SAVE_EVERY = 60
const STAGES = ['autoencoder', 'denoiser'] as const

type TrainPriorFileOptions = Omit<TrainPriorOptions, 'resume' | 'signal' | 'onProgress' | 'onEncode'>

/**
 * Trains a prior into a safetensors file, with progress on the terminal. Beside it are written what it was trained by, its
 * losses and how good it is (`PATH.training.json`), and a picture of that (`PATH.png`, see `judgePrior`). The state is saved
 * once a minute and on Ctrl-C (in the folder `PATH.state`, until the training is done): called again with the same options,
 * it goes on from there, and ends with the same file as a training that was not interrupted. A prior that is done is loaded,
 * and looked at if that failed before: it is written first, so that an error there does not lose it. Before a training
 * begins, each image of a streamed dataset is read once, to find all that are damaged.
 * @throws Ld3mError as `trainPrior` does; `option` if what is there was trained otherwise, or another process trains it;
 * `aborted` on Ctrl-C
 */
export async function trainPriorFile(path: string, options: TrainPriorFileOptions): Promise<Prior> {
  const training = planPriorTraining(options as TrainPriorOptions)
  if (existsSync(path)) {
    const record = await readTrainingRecord(path, training)
    process.stdout.write(`${path} is trained already.\n`)
    const prior = await loadPrior(options.device, path)
    return record.reconstruction ? prior : await judged(path, prior, options.dataset, record)
  }

  await openRunDirectory(dirname(resolve(path)))
  const folder = await openRunDirectory(`${path}.state`)
  const unlock = lockFolder(folder.path)
  const line = new ProgressLine()
  try {
    const { prior, curves } = await trainFrom(path, folder, options, line)
    const record: TrainingRecord = { ...training, curves, every: 20 }
    try {
      // The record is first, so that no prior is without one.
      await writeTrainingRecord(path, record)
      await writeFileAtomic(path, await prior.toSafetensors())
      await rm(folder.path, { recursive: true })
    } catch (error) {
      prior.dispose()
      throw error
    }
    return await judged(path, prior, options.dataset, record)
  } finally {
    line.end()
    unlock()
  }
}

/** The prior, once it is written how good it is; an error frees it. */
async function judged(path: string, prior: Prior, dataset: AnyDataset, record: TrainingRecord): Promise<Prior> {
  process.stdout.write('Looking at what the prior draws.\n')
  try {
    process.stdout.write(await recordJudgement(path, prior, dataset, record))
    return prior
  } catch (error) {
    prior.dispose()
    process.stdout.write(`${path} is trained. The next call looks at it again; loadPrior loads it as it is.\n`)
    throw error
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
  const isSaved = async () => (await readdir(folder.path)).some((name) => name.endsWith('.safetensors'))
  try {
    return await interruptible(async (signal) => {
      if (!(await isSaved())) await readOnce(options.dataset, signal, line)
      return await trainPrior({ ...(options as TrainPriorOptions), resume, signal, onProgress, onEncode })
    }, line)
  } catch (error) {
    await encodings.save()
    if (error instanceof TrainingStopped) {
      const { stage, state } = error
      if (state) await folder.writeBytes(stateOf(stage), state)
      line.end()
      if (await isSaved()) process.stdout.write(`The state is in ${path}.state; the same call goes on from there.\n`)
    }
    if (error instanceof Ld3mError && ['numeric', 'data'].includes(error.code) && (await isSaved())) {
      line.end()
      process.stdout.write(`What was saved is in ${path}.state; delete the file of a stage to begin that anew.\n`)
    }
    throw error
  }
}

/** Finds all images that are damaged, before a training meets the first of them. */
async function readOnce(dataset: AnyDataset, signal: AbortSignal, line: ProgressLine): Promise<void> {
  const { count } = dataset
  await checkReadable(dataset, (read) => {
    if (signal.aborted) {
      const what = `autoencoder: aborted when ${read.toLocaleString('en-US')} of ${counted(count, 'image')} were read.`
      throw new TrainingStopped(what, 'autoencoder', undefined)
    }
    line.update(`reading ${bar(read / count)} ${read}/${count}`, read === count)
  })
}
