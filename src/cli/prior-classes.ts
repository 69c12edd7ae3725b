import { type AnyDataset, findClasses, IMAGENET_CLASSES, imagenetIds } from '../data/index.ts'
import { optionError } from '../errors.ts'
import type { Prior } from '../ld3m/index.ts'
import { commaSeparated } from './arguments.ts'

/** The option `--prior-classes`. */
export const PRIOR_CLASSES = {
  type: 'string',
  valueHint: 'K,L',
  description: "The prior's class that each class starts from, by id or name; default that of the same name",
} as const

const isOfImagenet = ({ config: { classes, classNames } }: Prior): boolean =>
  classNames === undefined && classes === IMAGENET_CLASSES.length

/**
 * The prior's class ids that an option lists: numbers, or names where the prior's are known.
 * @throws Ld3mError `option` for a class that the prior does not have
 */
export function priorClassIds(option: string, list: string, prior: Prior): number[] {
  const { classes, name, classNames } = prior.config
  if (classes === 0) throw optionError(`--${option}: the prior is unconditional.`, 'Leave it out.')
  const ids = commaSeparated(list).map((entry) => (/^\d+$/.test(entry) ? Number(entry) : entry))
  const names = isOfImagenet(prior) ? IMAGENET_CLASSES.map(({ wnid }) => wnid) : classNames
  const stray = ids.find((id) => (typeof id === 'number' ? id >= classes : !names))
  if (stray !== undefined) {
    const known = names ? '' : ' It does not name them.'
    throw optionError(`--${option} is '${stray}'.`, `The prior's classes are 0 to ${classes - 1}.${known}`)
  }
  return ids.flatMap((id) => {
    return typeof id === 'number' ? id : findClasses(`--${option}`, { name, classNames: names ?? [] }, [id])
  })
}

/**
 * The prior's class of each class of a dataset, where the option says it, or names alone do not.
 * @param whole the dataset of which `dataset` may be a part
 * @param list ids or names, separated by commas; undefined where they are to be found
 * @throws Ld3mError `option` for a class that the prior does not have, or where a guess could be wrong
 */
export function startingClasses(
  prior: Prior,
  { classNames }: AnyDataset,
  whole: AnyDataset,
  list: string | undefined,
): { priorClasses?: readonly number[] } {
  if (list !== undefined) return { priorClasses: priorClassIds('prior-classes', list, prior) }
  const { classes, classNames: names } = prior.config
  if (classes === 0 || names) return {}
  if (isOfImagenet(prior)) {
    const ids = imagenetIds(classNames)
    if (ids) return { priorClasses: ids }
  }
  if (classNames === whole.classNames) return {}
  // A prior of the whole dataset numbers the classes as that does.
  const labels = classNames.map((name) => whole.classNames.indexOf(name))
  if (whole.classNames.length === classes) return { priorClasses: labels }
  if (classNames.length !== classes) return {}
  throw optionError(
    `The prior has ${classes} classes without names, and --classes takes as many of ${whole.classNames.length}.`,
    `Say which of its classes they start from: --prior-classes ${labels.map((_, k) => k).join(',')} for the same order.`,
  )
}
