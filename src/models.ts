/**
 * Modules as functions of their parameters: layers, student networks, the UNet denoiser, autoencoders; and the checkpoint
 * files that parameters come from.
 *
 * @module ld3m-gpu/models
 */

export {
  type ByteSource,
  byteSource,
  Checkpoint,
  type CheckpointFormat,
  type Dtype,
  type DtypeArrays,
  type OpenCheckpointOptions,
  openCheckpoint,
  type StoredTensor,
  type TensorInfo,
  toFloat32,
} from './io/index.ts'
export * from './models/index.ts'
