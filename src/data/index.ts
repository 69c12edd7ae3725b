export { augment } from './augment.ts'
export {
  ALL_AUGMENTATIONS,
  type Augmentation,
  type AugmentationName,
  type AugmentationStrategy,
  checkStrategy,
  type DrawOptions,
  drawAugmentation,
  parseStrategy,
} from './augment-draw.ts'
export { CIFAR10_CLASSES, type CifarDatasetOptions, type CifarFile, datasetFromCifar } from './cifar.ts'
export { findClasses } from './classes.ts'
export {
  areClassesNamed,
  channelStatistics,
  createDataset,
  type Dataset,
  type DatasetInfo,
  type DatasetInit,
  padTo,
  toFloat,
  toUnit,
} from './dataset.ts'
export { datasetFromIdx, FASHION_MNIST_CLASSES, type IdxDatasetOptions } from './idx.ts'
export {
  IMAGENET_STATISTICS,
  IMAGENET_SUBSETS,
  type ImagenetSubset,
  imagenetClass,
  imagenetIds,
  imagenetSubset,
} from './imagenet.ts'
export { IMAGENET_CLASSES, type ImagenetClass } from './imagenet-classes.ts'
export {
  datasetFromParquet,
  datasetOfParquetImages,
  type ParquetDatasetOptions,
  type ParquetImagesOptions,
} from './parquet.ts'
export {
  type AnyDataset,
  checkReadable,
  createStreamedDataset,
  inMemory,
  isStreamed,
  readChannelStatistics,
  readImages,
  type StreamedDataset,
  type StreamedDatasetInit,
} from './streamed.ts'
export { indicesByClass, type SplitOptions, selectClasses, splitDataset, subset, takePerClass } from './subset.ts'
