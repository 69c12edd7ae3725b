import { dataError, formatValue, optionError, rejectUnknownOptions } from '../errors.ts'
import { findClasses } from './classes.ts'
import { checkIndices, copyImages, type DatasetInfo, labelArray } from './dataset.ts'
import { type AnyDataset, isStreamed } from './streamed.ts'

/** The indices of each class's images, in order: `indicesByClass(dataset)[label]`. A class may have none. */
export function indicesByClass(dataset: DatasetInfo): Uint32Array[] {
  const counts = new Uint32Array(dataset.classNames.length)
  for (const label of dataset.labels) counts[label]!++
  const indices = Array.from(counts, (count) => new Uint32Array(count))
  const filled = new Uint32Array(counts.length)
  dataset.labels.forEach((label, i) => {
    indices[label]![filled[label]!++] = i
  })
  return indices
}

/**
 * A dataset of the images at `indices`, in that order (an index may come twice), with all class names.
 * @throws Ld3mError `option` if `indices` is empty or an index is out of range
 */
export function subset<D extends AnyDataset>(dataset: D, indices: ArrayLike<number>): D {
  if (indices.length === 0) throw optionError('subset: indices is empty.', 'Name at least one image.')
  checkIndices('subset', dataset, indices)
  const labels = labelArray(indices.length, dataset.classNames.length)
  for (let n = 0; n < indices.length; n++) labels[n] = dataset.labels[indices[n]!]!
  const part = { ...dataset, labels, count: indices.length }
  if (isStreamed(dataset)) {
    const own = Uint32Array.from(indices)
    const read = async (chosen: ArrayLike<number>) => {
      checkIndices('read', part, chosen)
      return await dataset.read(Array.from(chosen, (n) => own[n]!))
    }
    return { ...part, read }
  }
  return { ...part, images: copyImages('subset', dataset, indices) }
}

/**
 * The first `perClass` images of each class, in the dataset's own order.
 * @throws Ld3mError `option` if `perClass` is not a positive whole number, `data` if a class has fewer images
 */
export function takePerClass<D extends AnyDataset>(dataset: D, perClass: number): D {
  if (!Number.isSafeInteger(perClass) || perClass < 1) {
    throw optionError(`takePerClass: perClass is ${perClass}.`, 'Give a whole number of at least 1.')
  }
  const classes = indicesByClass(dataset)
  const short = classes.findIndex((indices) => indices.length < perClass)
  if (short >= 0) {
    throw dataError(
      `takePerClass: class '${dataset.classNames[short]}' of '${dataset.name}' has ${classes[short]!.length} images, ` +
        `but ${perClass} were asked for.`,
      'Ask for fewer, or select the other classes with selectClasses.',
    )
  }
  const taken = classes.flatMap((indices) => [...indices.subarray(0, perClass)])
  return subset(
    dataset,
    taken.sort((a, b) => a - b),
  )
}

/**
 * The images of some classes only, in the dataset's own order. Class `classes[k]` gets the label `k`.
 * @param classes labels, class names or ImageNet subsets (`imagenette`), as `findClasses` takes them
 * @throws Ld3mError `option` if a class is unknown or named twice, `data` if the classes have no images
 */
export function selectClasses<D extends AnyDataset>(dataset: D, classes: readonly (number | string)[]): D {
  const labels = findClasses('selectClasses', dataset, classes)
  if (labels.length === dataset.classNames.length && labels.every((label, k) => label === k)) return dataset
  const newLabels = new Map(labels.map((label, k) => [label, k]))
  const indices: number[] = []
  dataset.labels.forEach((label, i) => {
    if (newLabels.has(label)) indices.push(i)
  })
  if (indices.length === 0) {
    throw dataError(`selectClasses: the classes have no images in '${dataset.name}'.`, 'Select classes that have some.')
  }
  const selected = subset(dataset, indices)
  const classNames = labels.map((label) => dataset.classNames[label]!)
  const ownLabels = labelArray(selected.count, classNames.length)
  selected.labels.forEach((label, i) => {
    ownLabels[i] = newLabels.get(label)!
  })
  return { ...selected, labels: ownLabels, classNames }
}

export interface SplitOptions {
  /** Part of each class that goes to `validation`, between 0 and 1 exclusive; at least one image, and not all. */
  readonly validationFraction: number
  /** Decides which images; the same seed gives the same split on every machine. Default 0. */
  readonly seed?: number
}

/**
 * Splits off a validation set, class by class, so that a choice made during training (the best iteration, a step
 * size) need not look at the test set. Both parts keep the dataset's own order.
 * @throws Ld3mError `option` for an option out of range, `data` if a class has a single image
 */
export function splitDataset<D extends AnyDataset>(dataset: D, options: SplitOptions): { train: D; validation: D } {
  rejectUnknownOptions('splitDataset', options, ['validationFraction', 'seed'])
  const { validationFraction, seed = 0 } = options
  if (!(typeof validationFraction === 'number' && validationFraction > 0 && validationFraction < 1)) {
    const came = formatValue(validationFraction)
    throw optionError(`splitDataset: validationFraction is ${came}.`, 'Give a number between 0 and 1.')
  }
  if (!Number.isSafeInteger(seed)) throw optionError(`splitDataset: seed is ${seed}.`, 'Give a whole number.')

  const isValidation = new Uint8Array(dataset.count)
  indicesByClass(dataset).forEach((indices, label) => {
    if (indices.length === 0) return
    if (indices.length === 1) {
      throw dataError(
        `splitDataset: class '${dataset.classNames[label]}' of '${dataset.name}' has a single image.`,
        'Give each class at least two, one for each part.',
      )
    }
    const wanted = Math.round(validationFraction * indices.length)
    const size = Math.min(indices.length - 1, Math.max(1, wanted))
    const shuffled = [...indices].sort((a, b) => rank(seed, a) - rank(seed, b) || a - b)
    for (const index of shuffled.slice(0, size)) isValidation[index] = 1
  })
  const part = (which: number) =>
    subset(
      dataset,
      Array.from(isValidation.keys()).filter((i) => isValidation[i] === which),
    )
  return { train: part(0), validation: part(1) }
}

/** A pseudo-random order of indices without state: the finalizer of MurmurHash3 over seed and index. */
function rank(seed: number, index: number): number {
  let h = Math.imul(seed ^ Math.imul(index + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.trunc(seed / 2 ** 32)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
