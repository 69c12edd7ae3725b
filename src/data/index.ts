export { augment } from './augment.ts'
export {
  ALL_AUGMENTATIONS,
  type Augmentation,
  type AugmentationName,
  type AugmentationStrategy,
  type DrawOptions,
  drawAugmentation,
  parseStrategy,
} from './augment-draw.ts'
export { channelStatistics, createDataset, type Dataset, type DatasetInit, padTo, toFloat } from './dataset.ts'
export { datasetFromIdx, FASHION_MNIST_CLASSES, type IdxDatasetOptions } from './idx.ts'
export { indicesByClass, type SplitOptions, selectClasses, splitDataset, subset, takePerClass } from './subset.ts'
