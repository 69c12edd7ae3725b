import { dataError, formatValue, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import { MAX_CLASSES } from '../io/index.ts'

/** What is known of labelled images, all of one size, without their pixels. */
export interface DatasetInfo {
  readonly name: string
  /** [count]; `labels[i]` indexes `classNames`. */
  readonly labels: Uint8Array | Uint16Array
  readonly count: number
  /** 1 (grey) or 3 (RGB). */
  readonly channels: number
  readonly height: number
  readonly width: number
  /** One name a class, 1 to 65,536 of them, all different, in Unicode's composed form (NFC). */
  readonly classNames: readonly string[]
  /**
   * By channel, the number to subtract from values in [0, 1] when the images are standardized: a choice made once
   * for training and test images alike, often `channelStatistics` of the training images.
   */
  readonly mean?: readonly number[]
  /** By channel, the positive number to divide by after `mean` is subtracted. */
  readonly std?: readonly number[]
}

/** Labelled images in memory, as bytes. Treat it as read-only: functions here may share arrays. */
export interface Dataset extends DatasetInfo {
  /** Row-major [count, channels, height, width], 0 to 255. */
  readonly images: Uint8Array
}

/** What `createDataset` takes; the count follows from the labels. */
export type DatasetInit = Omit<Dataset, 'count'>

const INIT_FIELDS = ['name', 'images', 'labels', 'channels', 'height', 'width', 'classNames', 'mean', 'std'] as const

/** What to do about images that are no bytes: values in [0, 1] would be read as black. */
export const AS_BYTES = 'Give a Uint8Array, bytes from 0 to 255; multiply values in [0, 1] by 255.'

/**
 * A dataset from arrays, checked; the arrays are not copied.
 * @throws Ld3mError `shape` if images are no bytes or sizes do not fit each other, `option` for class names, `mean` or
 * `std` that cannot be, `data` if labels are no unsigned integers or one names no class
 */
export function createDataset(init: DatasetInit): Dataset {
  rejectUnknownOptions('createDataset', init, INIT_FIELDS)
  const { name, images, channels, height, width } = init
  const info = createInfo(init)
  const size = info.count * channels * height * width
  if (!(images instanceof Uint8Array))
    throw shapeError(`Dataset '${name}': images is ${formatValue(images)}.`, AS_BYTES)
  if (images.length !== size) {
    throw shapeError(
      `Dataset '${name}' has ${images.length} image bytes, but ${info.count} labels and images of ` +
        `[${channels}, ${height}, ${width}] ask for ${size}.`,
      'Give one label an image and NCHW bytes.',
    )
  }
  return { ...init, ...info }
}

/** The checked description of a dataset, with its count. */
export function createInfo<T extends Omit<DatasetInfo, 'count'>>(init: T): T & DatasetInfo {
  const { name, labels, channels, height, width } = init
  const where = `Dataset '${name}'`
  const count = labels?.length ?? 0
  if (count === 0) throw dataError(`${where} has no images.`, 'Give at least one labelled image.')
  if (!(labels instanceof Uint8Array || labels instanceof Uint16Array)) {
    throw dataError(
      `${where}: labels is ${formatValue(labels)}.`,
      'Give a Uint8Array, or for more than 256 classes a Uint16Array.',
    )
  }
  if (channels !== 1 && channels !== 3) {
    throw shapeError(`${where} has ${channels} channels.`, 'Give 1 (grey) or 3 (RGB).')
  }
  if (![height, width].every((side) => Number.isSafeInteger(side) && side > 0)) {
    throw shapeError(`${where} has images of ${height}×${width} pixels.`, 'Give whole sides of at least 1.')
  }
  checkClassNames(where, init.classNames)
  // Decomposed names, as macOS gives those of folders, look the same and would not be found.
  const classNames = init.classNames.map((className) => className.normalize('NFC'))
  checkClassNames(where, classNames)
  const stray = labels.findIndex((label) => label >= classNames.length)
  if (stray >= 0) {
    throw dataError(
      `${where}: image ${stray} has label ${labels[stray]}, but there are ${classNames.length} class names.`,
      'Name every class, in the order of the labels.',
    )
  }
  checkPerChannel(where, 'mean', init.mean, channels, Number.isFinite)
  checkPerChannel(where, 'std', init.std, channels, (value) => Number.isFinite(value) && value > 0)
  return { ...init, classNames, count }
}

/**
 * The dataset with black borders, `size` pixels high and wide, the images in the middle (an odd border gets its
 * extra pixel below and to the right). LeNet-era 28×28 images become 32×32 this way.
 * @throws Ld3mError `option` if `size` is not a whole number or smaller than the images
 */
export function padTo(dataset: Dataset, size: number): Dataset {
  const { images, count, channels, height, width } = dataset
  if (!Number.isSafeInteger(size) || size < height || size < width) {
    throw optionError(
      `padTo: size is ${size}, but '${dataset.name}' has images of ${height}×${width} pixels.`,
      `Give a whole number of at least ${Math.max(height, width)}.`,
    )
  }
  const top = Math.floor((size - height) / 2)
  const left = Math.floor((size - width) / 2)
  const padded = new Uint8Array(count * channels * size * size)
  for (let plane = 0; plane < count * channels; plane++) {
    for (let y = 0; y < height; y++) {
      const from = (plane * height + y) * width
      padded.set(images.subarray(from, from + width), (plane * size + top + y) * size + left)
    }
  }
  return { ...dataset, images: padded, height: size, width: size }
}

/**
 * Mean and standard deviation (of the population) of each channel over all pixels, in units of [0, 1]. They can be
 * spread into a dataset: `{ ...test, ...channelStatistics(train) }`. A constant channel has `std` 0.
 */
export function channelStatistics(dataset: Dataset): { mean: number[]; std: number[] } {
  const histograms = new ChannelHistograms(dataset)
  histograms.add(dataset.images)
  return histograms.statistics()
}

/** How often each of the 256 values occurs in each channel: sums over it are exact, whatever the number of pixels. */
export class ChannelHistograms {
  readonly #planeSize: number
  readonly #counts: readonly Float64Array[]

  constructor({ channels, height, width }: Pick<DatasetInfo, 'channels' | 'height' | 'width'>) {
    this.#planeSize = height * width
    this.#counts = Array.from({ length: channels }, () => new Float64Array(256))
  }

  /** Counts images, [n, C, H, W]. */
  add(images: Uint8Array): void {
    for (let start = 0, plane = 0; start < images.length; start += this.#planeSize, plane++) {
      const counts = this.#counts[plane % this.#counts.length]!
      for (let i = start; i < start + this.#planeSize; i++) counts[images[i]!]!++
    }
  }

  /** Mean and standard deviation of each channel, in units of [0, 1]. */
  statistics(): { mean: number[]; std: number[] } {
    const pixels = this.#counts[0]!.reduce((sum, times) => sum + times, 0)
    const mean = this.#counts.map((h) => h.reduce((sum, times, value) => sum + times * value, 0) / pixels / 255)
    const std = this.#counts.map((h, c) => {
      const variance = h.reduce((sum, times, value) => sum + times * (value / 255 - mean[c]!) ** 2, 0) / pixels
      return Math.sqrt(variance)
    })
    return { mean, std }
  }
}

/**
 * The images at `indices`, in that order, as f32 [indices.length, C, H, W] in [0, 1] (byte / 255).
 * @throws Ld3mError `option` if an index is out of range
 */
export function toFloat(dataset: Dataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return toUnit(copyImages('toFloat', dataset, indices))
}

/** Bytes as f32 in [0, 1] (byte / 255). */
export function toUnit(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) values[i] = bytes[i]! / 255
  return values
}

/** A copy of the images at `indices`, [indices.length, C, H, W]; `where` names the function for messages. */
export function copyImages(where: string, dataset: Dataset, indices: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  checkIndices(where, dataset, indices)
  const size = dataset.channels * dataset.height * dataset.width
  const images = new Uint8Array(indices.length * size)
  for (let n = 0; n < indices.length; n++) {
    images.set(dataset.images.subarray(indices[n]! * size, (indices[n]! + 1) * size), n * size)
  }
  return images
}

/** Throws unless every index names an image of `dataset`; `where` names the function for the message. */
export function checkIndices(where: string, dataset: DatasetInfo, indices: ArrayLike<number>): void {
  for (let n = 0; n < indices.length; n++) {
    const index = indices[n]!
    if (!Number.isSafeInteger(index) || index < 0 || index >= dataset.count) {
      throw optionError(
        `${where}: index ${index} is not an image of '${dataset.name}'.`,
        `Give whole numbers from 0 to ${dataset.count - 1}.`,
      )
    }
  }
}

/** Whether classes have names of their own: those of IDX files are their labels. */
export const areClassesNamed = (classNames: readonly string[]): boolean =>
  classNames.some((name, label) => name !== String(label))

/** Room for labels of so many classes. */
export const labelArray = (count: number, classes: number): Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> =>
  classes > 256 ? new Uint16Array(count) : new Uint8Array(count)

function checkClassNames(where: string, classNames: readonly string[]): void {
  if (!Array.isArray(classNames) || !classNames.every((name) => typeof name === 'string')) {
    const came = Array.isArray(classNames) ? 'an array of other things' : formatValue(classNames)
    throw optionError(`${where}: classNames is ${came}.`, 'Give an array of texts, one a class.')
  }
  if (classNames.length < 1 || classNames.length > MAX_CLASSES) {
    throw optionError(`${where} has ${classNames.length} class names.`, `Give 1 to ${MAX_CLASSES}.`)
  }
  const first = new Map<string, number>()
  const repeated = classNames.find((name, i) => first.get(name) !== undefined || !first.set(name, i))
  if (repeated !== undefined) {
    throw optionError(`${where} has two classes named '${repeated}'.`, 'Give each class a name of its own.')
  }
}

function checkPerChannel(
  where: string,
  field: string,
  values: readonly number[] | undefined,
  channels: number,
  fits: (value: number) => boolean,
): void {
  if (values === undefined || (values.length === channels && values.every(fits))) return
  throw optionError(
    `${where}: ${field} is [${values.join(', ')}].`,
    `Give ${channels} finite${field === 'std' ? ' positive' : ''} numbers, one a channel.`,
  )
}
