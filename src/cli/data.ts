import process from 'node:process'
import { type AnyDataset, areClassesNamed, findClasses, selectClasses } from '../data/index.ts'
import { dataError, optionError } from '../errors.ts'
import type { DistilledSet, Prior } from '../ld3m/index.ts'
import { datasetKind, hasPart, openDataset, type RunConfig } from '../node/index.ts'
import { commaSeparated, countOf, integer, sharedArguments } from './arguments.ts'
import { checkUnchanged, checkUndivided, divided, type ImageSizes, recordedHoldOut } from './hold-out.ts'

/** What `--data` of every command may name. */
export const DATA_KINDS = 'IDX, CIFAR or Parquet files, or folders of images'

/** The option `--classes`. */
export const CLASSES = {
  type: 'string',
  valueHint: 'A,B',
  description:
    'Classes to take, by name (\\, for a comma in one), or a subset of ImageNet such as imagenette; default all',
} as const

/** The option `--channels`. */
export const CHANNELS = sharedArguments({
  channels: {
    type: 'enum',
    options: ['3', '1'],
    description: '3 for RGB, 1 for grey; default 3, of IDX files their own',
  },
})

/** What `--size` and `--channels` ask for. */
export const imageSizes = (size: string | undefined, channels: string | undefined): ImageSizes => ({
  ...(size !== undefined && { size: countOf('size', size) }),
  ...(channels !== undefined && { channels: integer('channels', channels) as 1 | 3 }),
})

/** What a command line says of its training images. */
export interface TrainingData {
  readonly path: string
  /** Names, or a subset of ImageNet, separated by commas; undefined for all. */
  readonly classes: string | undefined
  /** How much of each class is kept to test on, of data without a part to test on. */
  readonly holdOut: number | undefined
}

/** The images that a command trains on. */
export interface TrainingImages {
  /** Of the classes asked for. */
  readonly dataset: AnyDataset
  /** Of all classes. */
  readonly whole: AnyDataset
  /** Identity of the data that some were held out from. */
  readonly heldOutFrom?: string
}

/** The training images of a dataset. */
export async function trainingImages(
  { path, classes, holdOut }: TrainingData,
  sizes: ImageSizes,
): Promise<TrainingImages> {
  if (holdOut !== undefined) await checkUndivided(path)
  const parts = holdOut === undefined ? undefined : await divided(path, holdOut, sizes)
  const whole = parts?.train ?? (await openDataset(path, sizes))
  const labels = classes === undefined ? undefined : findClasses('--classes', whole, commaSeparated(classes))
  const dataset = labels ? selectClasses(whole, labels) : whole
  return { dataset, whole, ...(parts && { heldOutFrom: parts.heldOutFrom }) }
}

/** The same, as a prior takes them. */
export async function dataToDistill(data: TrainingData, { config }: Prior): Promise<TrainingImages> {
  const { height, channels } = config.image
  if (channels === 1 && (await datasetKind(data.path)) !== 'IDX files') {
    process.stdout.write(`The prior makes grey images: colours in ${data.path} become their luminance.\n`)
  }
  return await trainingImages(data, { size: height, channels: channels as 1 | 3 })
}

/** What a command line says of the images that a run is judged by. */
export interface EvaluationData {
  readonly path: string
  readonly holdOut: number | undefined
  /** The folder of the run, and what it recorded. */
  readonly run: string
  readonly config: RunConfig
}

/** Both parts of a dataset as a distilled set has it: of the same size, with the same classes in the same order. */
export async function dataToEvaluate(
  data: EvaluationData,
  set: DistilledSet,
): Promise<{ train: AnyDataset; test: AnyDataset }> {
  const [, channels, height] = set.images.shape as [number, number, number, number]
  const { path, run, config } = data
  // Of a run that held nothing out, other images can be divided.
  const recorded = config.holdOut === undefined ? undefined : recordedHoldOut(run, config, data.holdOut)
  const holdOut = recorded ?? data.holdOut
  const sizes = { size: height, channels: channels as 1 | 3 }
  if (await hasPart(path, 'test')) {
    if (data.holdOut !== undefined) await checkUndivided(path)
    const part = async (split: 'train' | 'test') => asDistilled(await openDataset(path, { ...sizes, split }), set)
    return { train: await part('train'), test: await part('test') }
  }
  if (holdOut === undefined) {
    throw dataError(
      `${path} has no part to test on, and all of its images were there to be distilled.`,
      'Distil again with --hold-out 0.1, which keeps a tenth of each class to test on, or give data with such a part.',
    )
  }
  const parts = await divided(path, holdOut, sizes)
  if (recorded !== undefined) checkUnchanged(path, run, config, parts.heldOutFrom)
  const [train, test] = [asDistilled(parts.train, set), asDistilled(parts.test, set)]
  if (recorded === undefined) checkUnseen(data, train.name, train.count + test.count)
  return { train, test }
}

/** Throws if a run that held nothing out was distilled from all images, as far as name and count of its record tell. */
function checkUnseen({ path, run, config: { dataset: distilled } }: EvaluationData, name: string, count: number): void {
  if (distilled?.name !== name || distilled.count !== count) return
  throw optionError(
    `${run} was distilled from all images of ${path}, so that none is left to test on.`,
    'Distil again with --hold-out.',
  )
}

function asDistilled(dataset: AnyDataset, { classNames }: DistilledSet): AnyDataset {
  // IDX files hold no names: a set that was distilled under names of its own has the order of the labels.
  const named = classNames.some((name) => !dataset.classNames.includes(name))
  if (!areClassesNamed(dataset.classNames) && named && dataset.classNames.length === classNames.length) return dataset
  return selectClasses(dataset, findClasses('--data', dataset, classNames))
}
