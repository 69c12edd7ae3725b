import type { AnyDataset } from '../data/index.ts'
import { checksum } from '../io/index.ts'
import { imagesIdentity } from './images-identity.ts'
import type { Normalization } from './normalization.ts'

/** Plain data that tells datasets apart, as far as `imagesIdentity` does; names of files do not count. */
export const datasetIdentity = async (
  dataset: AnyDataset,
  normalization: Normalization,
  /** Of the initial images, where they are real. */
  initial: Float32Array | undefined,
): Promise<Readonly<Record<string, unknown>>> => {
  const { labels, channels, height, width, classNames } = dataset
  return {
    ...{ count: labels.length, channels, height, width, classNames, normalization },
    labels: await checksum([labels]),
    images: await imagesIdentity(dataset),
    ...(initial && { initialImages: await checksum([initial]) }),
  }
}
