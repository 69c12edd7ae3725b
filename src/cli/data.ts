import { type AnyDataset, findClasses, IMAGENET_CLASSES, imagenetIds, selectClasses } from '../data/index.ts'
import type { DistilledSet, Prior } from '../ld3m/index.ts'
import { openDataset } from '../node/index.ts'

/** What `--data` of every command may name. */
export const DATA_KINDS = 'IDX, CIFAR or Parquet files, or folders of images'

/** The option `--classes`. */
export const CLASSES = {
  type: 'string',
  valueHint: 'A,B',
  description: 'Classes to take, by name, or a subset of ImageNet such as imagenette; default all',
} as const

/**
 * The training images of a dataset as a prior takes them, and the prior's class of each class.
 * @param classes names, or a subset of ImageNet, separated by commas; undefined for all
 */
export async function dataToDistill(
  path: string,
  { config }: Prior,
  classes: string | undefined,
): Promise<{ dataset: AnyDataset; priorClasses?: readonly number[] }> {
  const { height, channels } = config.image
  const whole = await openDataset(path, { size: height, channels: channels as 1 | 3 })
  const labels = classes === undefined ? undefined : findClasses('--classes', whole, classes.split(','))
  const dataset = labels ? selectClasses(whole, labels) : whole
  if (dataset.classNames.length === config.classes) return { dataset }
  // A prior of the whole dataset numbers the classes as that does; one of ImageNet, as ImageNet does.
  const ofImagenet = config.classes === IMAGENET_CLASSES.length ? imagenetIds(dataset.classNames) : undefined
  const priorClasses = whole.classNames.length === config.classes ? labels : ofImagenet
  return { dataset, ...(priorClasses && { priorClasses }) }
}

/** A split of a dataset as a distilled set has it: of the same size, with the same classes in the same order. */
export async function dataToEvaluate(path: string, split: 'train' | 'test', set: DistilledSet): Promise<AnyDataset> {
  const [, channels, height] = set.images.shape as [number, number, number, number]
  const dataset = await openDataset(path, { split, size: height, channels: channels as 1 | 3 })
  // IDX files hold no names: a set that was distilled under names of its own has the order of the labels.
  const unnamed = dataset.classNames.every((name, label) => name === String(label))
  const named = set.classNames.some((name) => !dataset.classNames.includes(name))
  if (unnamed && named && dataset.classNames.length === set.classNames.length) return dataset
  return selectClasses(dataset, set.classNames)
}
