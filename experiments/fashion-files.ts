import { type Dataset, FASHION_MNIST_CLASSES } from '../src/data/index.ts'
import { loadIdx } from '../src/node/index.ts'

/** All of it, where Debian's package dataset-fashion-mnist puts it. */
const WHOLE = '/usr/share/datasets/fashion-mnist'

/** As published: 1×28×28. */
export const fashionSplit = (split: 'train' | 'test'): Promise<Dataset> =>
  loadIdx(WHOLE, { split, classNames: FASHION_MNIST_CLASSES })
