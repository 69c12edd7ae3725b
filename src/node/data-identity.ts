import type { AnyDataset } from '../data/index.ts'
import { checksum } from '../io/index.ts'
import { imagePaths } from './image-folder.ts'
import { datasetKind } from './open-dataset.ts'

/**
 * Tells whether a dataset is the one that was opened from a path before, image for image and in the same order: a checksum
 * of the labels, the names of the classes and, of folders, the images' paths below the folder. The pixels do not count.
 * @param dataset what `openDataset` gives for the path, without a choice of `split` or `classes`
 */
export async function dataIdentity(path: string, { labels, classNames }: AnyDataset): Promise<string> {
  const paths = (await datasetKind(path)) === 'folders of images' ? await imagePaths(path) : []
  return await checksum([labels, new TextEncoder().encode(JSON.stringify([classNames, paths]))])
}
