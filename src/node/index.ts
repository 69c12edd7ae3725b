export { accuracyText } from './accuracy-text.ts'
export { type AdapterChoice, type AdapterOptions, type NodeAdapter, requestAdapter } from './adapter.ts'
export { type OpenCheckpointFileOptions, openCheckpointFile, writeCheckpoint } from './checkpoint.ts'
export { type LoadCifarOptions, loadCifar } from './cifar.ts'
export { type OpenDeviceOptions, openDevice } from './device.ts'
export { type ExperimentOptions, type ExperimentResult, runExperiment } from './experiment.ts'
export { showExperts } from './expert-progress.ts'
export { expertsFolder } from './experts-folder.ts'
export {
  openRunDirectory,
  type RunDirectory,
  readTensors,
  writeFileAtomic,
  writeTensors,
} from './files.ts'
export type { Split } from './folders.ts'
export { type LoadIdxOptions, loadIdx } from './idx.ts'
export { type ImageDecoder, type ImageFormat, openImageDecoder, type RawPixels } from './image-decoder.ts'
export { type ImageFolderOptions, loadImageFolder } from './image-folder.ts'
export { interruptible } from './interrupt.ts'
export { type AdapterKind, describeAdapter } from './kinds.ts'
export { type DatasetKind, datasetKind, hasParts, type OpenDatasetOptions, openDataset } from './open-dataset.ts'
export { loadParquet, type ParquetOptions } from './parquet.ts'
export { type LoadPriorOptions, loadPrior } from './prior.ts'
export { bar, formatBytes, formatDuration, ProgressLine, type ProgressStream } from './progress.ts'
export { type ReproduceOptions, type Reproduction, reproduce } from './reproduce.ts'
export { type CompareOptions, openRun, Run, type RunOptions, reopenRun } from './run.ts'
export type { RunConfig } from './run-description.ts'
export type { AccuracyTable, EvaluationRecord } from './run-evaluation.ts'
export { type RunMetrics, readRunConfig, readRunResult } from './run-folder.ts'
export { type FileSource, fileSource } from './source.ts'
export { trainPriorFile } from './train-prior.ts'
export { tuningFolder } from './tuning-folder.ts'
export { type WriteImageFolderOptions, writeImageFolder } from './write-image-folder.ts'
