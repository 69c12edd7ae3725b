import { type Dataset, padTo } from '../data/index.ts'
import { loadIdx } from '../node/index.ts'

/** One split of a folder of IDX files, padded with black to `size` if its images are smaller. */
export async function loadData(directory: string, split: 'train' | 'test', size: number): Promise<Dataset> {
  const dataset = await loadIdx(directory, { split })
  return dataset.height < size && dataset.width < size ? padTo(dataset, size) : dataset
}
