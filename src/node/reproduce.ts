import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type AnyDataset, IMAGENET_STATISTICS, splitDataset } from '../data/index.ts'
import { dataError, optionError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import {
  type Accuracy,
  type Experts,
  type PaperRecipe,
  type Prior,
  priorAtSize,
  trainExperts,
  withRandomDenoiser,
} from '../ld3m/index.ts'
import { openDevice } from './device.ts'
import { type ExperimentResult, runExperiment } from './experiment.ts'
import { showExperts } from './expert-progress.ts'
import { expertsFolder } from './experts-folder.ts'
import { openRunDirectory, readIfThere } from './files.ts'
import { interruptible } from './interrupt.ts'
import { openDataset } from './open-dataset.ts'
import { loadPrior } from './prior.ts'
import { ProgressLine } from './progress.ts'
import { checkRunFolder } from './run-folder.ts'
import { lockFolder } from './run-lock.ts'

/** Which row a folder's run is of; beside the files of every run. */
const RECORD = 'recipe.json'

export interface ReproduceOptions {
  /** ImageNet, in any layout that `openDataset` reads: folders `train` and `val`, or Parquet files. */
  imagenet?: string
  /** CIFAR-10, for the rows of Table 2. */
  cifar?: string
  /** The generator that the recipe names (`recipe.prior`): the published checkpoint, or any prior that `loadPrior` takes. */
  checkpoint: string
  /** Names that it may refer to and that stand for nothing; see `openCheckpoint`. */
  inert?: readonly string[]
  /** The run's folder; experts go into its folder `experts`. */
  out: string
  /** Default the one that `openDevice` opens. */
  device?: Device
  /** Default 0. */
  seed?: number
}

export interface Reproduction extends ExperimentResult {
  /** Mean over the unseen networks of their mean test accuracies, 0…1: the number in the paper's tables. */
  readonly mean: number
}

/**
 * Runs a row of the paper's tables from ImageNet and the published generator: splits validation images off, trains experts
 * where the row needs them, distils, chooses the iteration, trains the four unseen networks by the paper's protocol, and
 * leaves a run's folder, with `recipe.json`. Called again, it goes on where it was stopped.
 * @throws Ld3mError `option` if the data's path is missing, the checkpoint is not the recipe's or the folder holds something
 * else; else as `openDataset`, `loadPrior`, `trainExperts` and `runExperiment` do
 */
export async function reproduce(recipe: PaperRecipe, options: ReproduceOptions): Promise<Reproduction> {
  const { checkpoint, inert = [], out, seed = 0 } = options
  const { train, validation, test } = await dataOf(recipe, options)
  const device = options.device ?? (await openDevice())
  const priors: Prior[] = []
  try {
    const loaded = await loadPrior(device, checkpoint, { inert })
    priors.push(loaded)
    const prior = priorOf(recipe, loaded)
    priors.push(prior)
    await beginRow(recipe, out)
    const { match, distill: ofDistill, evaluate, choose } = recipe
    const objective = match(recipe.experts && (await expertsFor(recipe.experts, device, train, out, seed)))
    const { validationFraction: _fraction, ...choosing } = choose
    const result = await runExperiment(out, {
      ...{ train, test },
      distill: { ...ofDistill, prior, objective, seed },
      evaluate: { ...evaluate, seed },
      choose: { ...choosing, validation, seed },
    })
    // Not of others that were compared in the folder.
    const means = evaluate.students.map(({ name }) => (result.accuracy.distilled[name] as Accuracy).mean)
    return { ...result, mean: means.reduce((a, b) => a + b, 0) / means.length }
  } finally {
    for (const prior of priors) prior.dispose()
    if (!options.device) device.destroy()
  }
}

/**
 * Writes down in a new folder which row is run there. One that is there already is that row's, or is refused as it is: now,
 * before experts are trained for days.
 */
async function beginRow(recipe: PaperRecipe, out: string): Promise<void> {
  const folder = await openRunDirectory(out)
  const unlock = lockFolder(folder.path)
  try {
    const record = await readIfThere(folder.pathOf(RECORD))
    if (record) {
      checkRow(recipe, folder.pathOf(RECORD), record)
      return
    }
    await checkRunFolder(folder.path)
    if (existsSync(folder.pathOf('metrics.json'))) {
      throw optionError(`${out} holds a run that reproduce did not begin.`, 'Give another folder.')
    }
    const { match: _match, distill: _distill, evaluate: _evaluate, choose: _choose, ...facts } = recipe
    await folder.writeJson(RECORD, { ...facts, experts: recipe.experts && withoutStudent(recipe.experts) })
  } finally {
    unlock()
  }
}

/** Throws unless a folder's record is of this row. */
function checkRow({ name }: PaperRecipe, path: string, record: Uint8Array): void {
  let before: { readonly name?: unknown }
  try {
    before = JSON.parse(new TextDecoder().decode(record))
  } catch (cause) {
    throw dataError(`${path} is not JSON: ${(cause as Error).message}.`, 'Give another folder.', cause)
  }
  if (before.name === name) return
  throw optionError(`${dirname(path)} holds the run of ${before.name}, not of ${name}.`, 'Give another folder.')
}

const withoutStudent = ({ student, ...rest }: NonNullable<PaperRecipe['experts']>) => ({
  ...rest,
  ...(student && { student: student.name }),
})

async function dataOf(
  { subset, size, choose }: PaperRecipe,
  { imagenet, cifar }: ReproduceOptions,
): Promise<{ train: AnyDataset; validation: AnyDataset; test: AnyDataset }> {
  const ofCifar = subset === 'cifar-10'
  const path = ofCifar ? cifar : imagenet
  if (path === undefined) {
    const name = ofCifar ? 'cifar' : 'imagenet'
    throw optionError(
      `reproduce: this row is of ${subset}, and ${name} is missing.`,
      `Give ${name}, the dataset's path.`,
    )
  }
  const format = { size, ...(!ofCifar && { classes: [subset] }) }
  // CIFAR's own statistics are measured; ImageNet's are what networks for it are given.
  const named = (dataset: AnyDataset): AnyDataset =>
    ofCifar ? dataset : { ...dataset, name: subset, ...IMAGENET_STATISTICS }
  const whole = named(await openDataset(path, { ...format, split: 'train' }))
  const test = named(await openDataset(path, { ...format, split: 'test' }))
  return { ...splitDataset(whole, { validationFraction: choose.validationFraction }), test }
}

/** The row's generator, at its size. */
function priorOf({ prior: kind, size, distill: { priorClasses } }: PaperRecipe, loaded: Prior): Prior {
  const { classes, name } = loaded.config
  if (priorClasses ? classes <= Math.max(...priorClasses) : kind !== 'imagenet' && loaded.conditional) {
    throw optionError(
      `reproduce: the row's generator is of ${kind}, but the checkpoint '${name}' has ${classes} classes.`,
      kind === 'imagenet' ? "Give ImageNet's, of 1000 classes." : 'Give that of faces, which is unconditional.',
    )
  }
  const sized = priorAtSize(loaded, size)
  if (kind !== 'random') return sized
  const random = withRandomDenoiser(sized)
  sized.dispose()
  return random
}

async function expertsFor(
  recipe: NonNullable<PaperRecipe['experts']>,
  device: Device,
  dataset: AnyDataset,
  out: string,
  seed: number,
): Promise<Experts> {
  const line = new ProgressLine()
  try {
    return await interruptible(
      (signal) =>
        trainExperts({
          ...{ ...recipe, device, dataset, store: expertsFolder(join(out, 'experts')), seed, signal },
          onProgress: showExperts(line),
        }),
      line,
    )
  } finally {
    line.end()
  }
}
