import { type AnyDataset, areClassesNamed } from '../data/index.ts'
import { optionError } from '../errors.ts'
import { counted, listed } from '../words.ts'
import type { Prior } from './prior.ts'

/**
 * The prior's class id that each class of a dataset starts from: `given`, or, where nothing is given, the prior's class of
 * the same name. A prior or a dataset without names of its own (labels of IDX files) is taken to number its classes as
 * the other does, if there are as many. An unconditional prior has its "no class" for all.
 * @throws Ld3mError `option` if `given` does not fit, or is needed
 */
export function priorClassesOf(
  where: string,
  { classNames }: AnyDataset,
  prior: Prior,
  given: readonly number[] | undefined,
): readonly number[] {
  const { classes, classNames: names } = prior.config
  if (given) {
    checkGiven(where, given, classNames.length, prior)
    return given
  }
  if (!prior.conditional) return classNames.map(() => 0)
  const byName = classNames.map((name) => names?.indexOf(name) ?? -1)
  if (!byName.includes(-1)) return byName
  const fix = "Pass priorClasses: the prior's class id for each class of the dataset."
  if (classNames.length !== classes) {
    throw optionError(
      `${where}: the dataset has ${described(classNames.length, classNames)}, the prior ${described(classes, names)}.`,
      fix,
    )
  }
  if (names && areClassesNamed(names) && areClassesNamed(classNames)) {
    const foreign = classNames[byName.indexOf(-1)]
    throw optionError(`${where}: the prior has no class '${foreign}', only ${listed(names, SHOWN)}.`, fix)
  }
  return classNames.map((_, label) => label)
}

/** Class names that a message lists at most. */
const SHOWN = 10

/** '2 classes (cat, dog)', or '2 classes without names'. */
const described = (count: number, names: readonly string[] | undefined): string =>
  `${counted(count, 'class', 'classes')} ${names && areClassesNamed(names) ? `(${listed(names, SHOWN)})` : 'without names'}`

function checkGiven(where: string, given: readonly number[], count: number, { config, conditional }: Prior): void {
  const { classes } = config
  if (given.length === count && given.every((c) => Number.isInteger(c) && c >= 0 && c < classes)) return
  throw optionError(
    `${where}: priorClasses is [${given}].`,
    conditional
      ? `Give ${count} integers from 0 to ${classes - 1}, one for each class of the dataset.`
      : 'The prior is unconditional: leave it out.',
  )
}
