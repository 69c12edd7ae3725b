import { didYouMean } from '../did-you-mean.ts'
import { formatValue, optionError } from '../errors.ts'
import { listed } from '../words.ts'
import type { DatasetInfo } from './dataset.ts'
import { IMAGENET_SUBSETS, type ImagenetSubset, imagenetClass, imagenetIds, imagenetSubset } from './imagenet.ts'

/** Class names that a message lists at most. */
const SHOWN = 20

/**
 * The labels of classes of a dataset, in the order asked for. An entry is a label, the name of a class, or the name of an
 * ImageNet subset (`imagenette`), which stands for its ten classes. A class of ImageNet has several names: `n01440764`,
 * `tench` and `tench, Tinca tinca` all find it, whichever of them the dataset uses.
 * @param where names the caller in messages
 * @throws Ld3mError `option` if a class is unknown or named twice, or none is named
 */
export function findClasses(
  where: string,
  { name, classNames }: Pick<DatasetInfo, 'name' | 'classNames'>,
  classes: readonly (number | string)[],
): number[] {
  if (!Array.isArray(classes)) {
    throw optionError(`${where}: classes is ${formatValue(classes)}.`, 'Pass an array of names.')
  }
  const labels = (classes as readonly (number | string)[]).flatMap((wanted) => {
    const label = typeof wanted === 'number' ? wanted : labelOf(classNames, wanted.normalize('NFC'))
    if (classNames[label] !== undefined) return [label]
    if (typeof wanted === 'string' && isSubset(wanted)) return subsetLabels(where, name, classNames, wanted)
    throw optionError(`${where}: '${name}' has no class ${JSON.stringify(wanted)}.`, adviceFor(classNames, wanted))
  })
  if (labels.length === 0) throw optionError(`${where}: no class is named.`, 'Name at least one class.')
  const repeated = labels.find((label, k) => labels.indexOf(label) !== k)
  if (repeated !== undefined) {
    throw optionError(`${where}: class '${classNames[repeated]}' is named twice.`, 'Name each class once.')
  }
  return labels
}

/** What could be asked for instead; subsets of ImageNet where all classes are ImageNet's. */
function adviceFor(classNames: readonly string[], wanted: number | string): string {
  const subsets = imagenetIds(classNames) ? Object.keys(IMAGENET_SUBSETS) : []
  const meant = typeof wanted === 'string' ? didYouMean(wanted, [...classNames, ...subsets]) : ''
  const also = subsets.length > 0 ? ` Subsets of ImageNet: ${subsets.join(', ')}.` : ''
  return `${meant}Its classes are ${withLabels(classNames)}.${also}`
}

const isSubset = (name: string): name is ImagenetSubset => Object.hasOwn(IMAGENET_SUBSETS, name)

/** The label of a class name, or of another name of the same ImageNet class; -1 if there is none. */
function labelOf(classNames: readonly string[], wanted: string): number {
  const label = classNames.indexOf(wanted)
  const known = imagenetClass(wanted)
  return label >= 0 || !known ? label : classNames.findIndex((own) => imagenetClass(own) === known)
}

function subsetLabels(where: string, name: string, classNames: readonly string[], subset: ImagenetSubset): number[] {
  const wanted = imagenetSubset(subset)
  const labels = wanted.map(({ wnid }) => labelOf(classNames, wnid))
  const missing = wanted.filter((_, k) => labels[k] === -1)
  if (missing.length > 0) {
    throw optionError(
      `${where}: '${name}' lacks ${missing.map((known) => `${known.wnid} (${known.name})`).join(', ')} of ${subset}.`,
      `Its classes are ${withLabels(classNames)}.`,
    )
  }
  return labels
}

const withLabels = (classNames: readonly string[]): string =>
  listed(
    classNames.map((name, label) => `${label} '${name}'`),
    SHOWN,
  )
