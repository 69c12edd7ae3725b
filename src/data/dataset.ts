import { dataError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'

/** Labelled images in memory, all of one size, as bytes. Treat it as read-only: functions here may share arrays. */
export interface Dataset {
  readonly name: string
  /** Row-major [count, channels, height, width], 0 to 255. */
  readonly images: Uint8Array
  /** [count]; `labels[i]` indexes `classNames`. */
  readonly labels: Uint8Array
  readonly count: number
  /** 1 (grey) or 3 (RGB). */
  readonly channels: number
  readonly height: number
  readonly width: number
  /** One name a class, 1 to 256 of them, all different. */
  readonly classNames: readonly string[]
  /**
   * By channel, the number to subtract from values in [0, 1] when the images are standardized: a choice made once
   * for training and test images alike, often `channelStatistics` of the training images.
   */
  readonly mean?: readonly number[]
  /** By channel, the positive number to divide by after `mean` is subtracted. */
  readonly std?: readonly number[]
}

/** What `createDataset` takes; the count follows from the labels. */
export type DatasetInit = Omit<Dataset, 'count'>

const INIT_FIELDS = ['name', 'images', 'labels', 'channels', 'height', 'width', 'classNames', 'mean', 'std'] as const

/**
 * A dataset from arrays, checked; the arrays are not copied.
 * @throws Ld3mError `shape` if sizes do not fit each other, `option` for class names, `mean` or `std` that cannot
 * be, `data` if a label names no class
 */
export function createDataset(init: DatasetInit): Dataset {
  rejectUnknownOptions('createDataset', init, INIT_FIELDS)
  const { name, images, labels, channels, height, width, classNames } = init
  const where = `Dataset '${name}'`
  const count = labels.length
  if (count === 0) throw dataError(`${where} has no images.`, 'Give at least one labelled image.')
  if (channels !== 1 && channels !== 3) {
    throw shapeError(`${where} has ${channels} channels.`, 'Give 1 (grey) or 3 (RGB).')
  }
  if (![height, width].every((side) => Number.isSafeInteger(side) && side > 0)) {
    throw shapeError(`${where} has images of ${height}×${width} pixels.`, 'Give whole sides of at least 1.')
  }
  if (images.length !== count * channels * height * width) {
    throw shapeError(
      `${where} has ${images.length} image bytes, but ${count} labels and images of [${channels}, ${height}, ${width}] ` +
        `ask for ${count * channels * height * width}.`,
      'Give one label an image and NCHW bytes.',
    )
  }
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
  return { ...init, count }
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
  const { images, count, channels, height, width } = dataset
  const planeSize = height * width
  // A histogram of the 256 possible values makes the sums exact, whatever the number of pixels.
  const histograms = Array.from({ length: channels }, () => new Float64Array(256))
  for (let plane = 0; plane < count * channels; plane++) {
    const histogram = histograms[plane % channels]!
    const end = (plane + 1) * planeSize
    for (let i = plane * planeSize; i < end; i++) histogram[images[i]!]!++
  }
  const pixels = count * planeSize
  const mean = histograms.map((h) => h.reduce((sum, times, value) => sum + times * value, 0) / pixels / 255)
  const std = histograms.map((h, c) => {
    const variance = h.reduce((sum, times, value) => sum + times * (value / 255 - mean[c]!) ** 2, 0) / pixels
    return Math.sqrt(variance)
  })
  return { mean, std }
}

/**
 * The images at `indices`, in that order, as f32 [indices.length, C, H, W] in [0, 1] (byte / 255).
 * @throws Ld3mError `option` if an index is out of range
 */
export function toFloat(dataset: Dataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  checkIndices('toFloat', dataset, indices)
  const size = dataset.channels * dataset.height * dataset.width
  const values = new Float32Array(indices.length * size)
  for (let n = 0; n < indices.length; n++) {
    const from = indices[n]! * size
    for (let i = 0; i < size; i++) values[n * size + i] = dataset.images[from + i]! / 255
  }
  return values
}

/** Throws unless every index names an image of `dataset`; `where` names the function for the message. */
export function checkIndices(where: string, dataset: Dataset, indices: ArrayLike<number>): void {
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

function checkClassNames(where: string, classNames: readonly string[]): void {
  if (classNames.length < 1 || classNames.length > 256) {
    throw optionError(`${where} has ${classNames.length} class names.`, 'Give 1 to 256; labels are bytes.')
  }
  const repeated = classNames.find((name, i) => classNames.indexOf(name) !== i)
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
