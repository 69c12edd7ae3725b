import { dataError, rejectUnknownOptions } from '../errors.ts'
import { readIdx } from '../io/index.ts'
import { createDataset, type Dataset } from './dataset.ts'

/** The classes of Fashion-MNIST, in the order of its labels. */
export const FASHION_MNIST_CLASSES: readonly string[] = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
]

export interface IdxDatasetOptions {
  /** Default 'idx'. */
  readonly name?: string
  /** One name a class. Default: the labels' numbers, '0' to the largest. */
  readonly classNames?: readonly string[]
  /** Names the image file in error messages. */
  readonly imagesSource?: string
  /** Names the label file in error messages. */
  readonly labelsSource?: string
}

/**
 * A dataset from the two IDX files of MNIST and its relatives, gzipped or not: images [N, H, W] (grey) or
 * [N, C, H, W], labels [N], unsigned bytes.
 * @throws Ld3mError `data` if a file is damaged or foreign, or the two do not belong together; `option` for an unknown option
 */
export async function datasetFromIdx(
  imagesBytes: Uint8Array,
  labelsBytes: Uint8Array,
  options: IdxDatasetOptions = {},
): Promise<Dataset> {
  rejectUnknownOptions('datasetFromIdx', options, ['name', 'classNames', 'imagesSource', 'labelsSource'])
  const { name = 'idx', imagesSource = 'the IDX images', labelsSource = 'the IDX labels' } = options
  const images = await readIdx(imagesBytes, imagesSource)
  const labels = await readIdx(labelsBytes, labelsSource)
  if (labels.shape.length !== 1) {
    throw dataError(
      `Expected labels of shape [N] in ${labelsSource}, but it holds [${labels.shape.join(', ')}].`,
      'Pass the images first, then the labels.',
    )
  }
  const [count, ...rest] = images.shape as [number, ...number[]]
  const [channels, height, width] = rest.length === 2 ? [1, ...rest] : rest
  if (height === undefined || width === undefined || rest.length > 3) {
    throw dataError(
      `Expected images of shape [N, H, W] or [N, C, H, W] in ${imagesSource}, but it holds [${images.shape.join(', ')}].`,
      'Pass the images first, then the labels.',
    )
  }
  if (count !== labels.data.length) {
    throw dataError(
      `There are ${count} images in ${imagesSource}, but ${labels.data.length} labels in ${labelsSource}.`,
      'Pass the two files of the same split.',
    )
  }
  const classNames = options.classNames ?? numbersUpTo(labels.data)
  return createDataset({
    name,
    images: images.data,
    labels: labels.data,
    channels: channels!,
    height,
    width,
    classNames,
  })
}

function numbersUpTo(labels: Uint8Array): string[] {
  const largest = labels.reduce((a, b) => Math.max(a, b), 0)
  return Array.from({ length: largest + 1 }, (_, label) => String(label))
}
