import { type AnyDataset, areClassesNamed, findClasses, selectClasses } from '../data/index.ts'
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
 * The training images of a dataset as a prior takes them.
 * @param classes names, or a subset of ImageNet, separated by commas; undefined for all
 * @returns of the classes asked for, and of all
 */
export async function dataToDistill(
  path: string,
  { config }: Prior,
  classes: string | undefined,
): Promise<{ dataset: AnyDataset; whole: AnyDataset }> {
  const { height, channels } = config.image
  const whole = await openDataset(path, { size: height, channels: channels as 1 | 3 })
  const labels = classes === undefined ? undefined : findClasses('--classes', whole, classes.split(','))
  return { dataset: labels ? selectClasses(whole, labels) : whole, whole }
}

/** A split of a dataset as a distilled set has it: of the same size, with the same classes in the same order. */
export async function dataToEvaluate(path: string, split: 'train' | 'test', set: DistilledSet): Promise<AnyDataset> {
  const [, channels, height] = set.images.shape as [number, number, number, number]
  const dataset = await openDataset(path, { split, size: height, channels: channels as 1 | 3 })
  // IDX files hold no names: a set that was distilled under names of its own has the order of the labels.
  const named = set.classNames.some((name) => !dataset.classNames.includes(name))
  if (!areClassesNamed(dataset.classNames) && named && dataset.classNames.length === set.classNames.length)
    return dataset
  return selectClasses(dataset, set.classNames)
}
