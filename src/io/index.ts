export {
  Checkpoint,
  type CheckpointFormat,
  type TensorInfo,
} from './checkpoint/checkpoint.ts'
export { type OpenCheckpointOptions, openCheckpoint } from './checkpoint/open.ts'
export { checksum } from './checksum.ts'
export { CIFAR_SIZE, type CifarArrays, readCifar } from './cifar.ts'
export { differences } from './differences.ts'
export { DTYPE_NAMES, type Dtype, type DtypeArrays, dtypeBytes, type StoredTensor } from './dtypes.ts'
export { isNumeric, toFloat16, toFloat32 } from './float32.ts'
export { halfToNumber, LARGEST_HALF, toHalfBits } from './half.ts'
export { type IdxArray, readIdx, writeIdx } from './idx.ts'
export { type ImageGridOptions, imageGrid } from './image-grid.ts'
export { type NpyArray, writeNpy } from './npy.ts'
export { writeNpz } from './npz.ts'
export { MAX_CLASSES, openParquetImages, type ParquetColumns, type ParquetImages } from './parquet.ts'
export { decodePng, encodePng, type PngImage } from './png.ts'
export { layOutSafetensors, readSafetensors, type TensorFile, writeSafetensors } from './safetensors.ts'
export { type ByteSource, byteSource } from './source.ts'
