import type { AnyDataset } from '../data/index.ts'
import { checksum } from '../io/index.ts'
import type { Normalization } from './normalization.ts'

/** Plain data that tells datasets of the same images from others; names of files do not count. */
export const datasetIdentity = async (
  { labels, channels, height, width, classNames }: AnyDataset,
  normalization: Normalization,
  /** Of the initial images, where they are real. */
  initial: Float32Array | undefined,
): Promise<Readonly<Record<string, unknown>>> => ({
  ...{ count: labels.length, channels, height, width, classNames, normalization },
  labels: await checksum([labels]),
  ...(initial && { initialImages: await checksum([initial]) }),
})
