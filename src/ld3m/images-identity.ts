import { type AnyDataset, readImages } from '../data/index.ts'
import { checksum } from '../io/index.ts'

/** Images that are looked at. */
const SAMPLED = 16

/**
 * A checksum of 16 images, spread evenly over the dataset: tells datasets of other pixels (another size, crop or source)
 * apart, of which one is not in memory perhaps; not those that differ in a few images.
 */
export async function imagesIdentity(dataset: AnyDataset): Promise<string> {
  const count = Math.min(SAMPLED, dataset.count)
  const spread = Array.from({ length: count }, (_, i) => Math.floor((i * dataset.count) / count))
  return await checksum([await readImages(dataset, spread)])
}
