/**
 * Dataset distillation with latent diffusion models (LD3M).
 *
 * @module ld3m-gpu
 */
export * from './data/index.ts'
export { type ErrorCode, Ld3mError } from './errors.ts'
export {
  type ChromeTrace,
  Device,
  type DeviceInfo,
  type DeviceOptions,
  type ImportReport,
  indexedDbStore,
  type MemoryPlan,
  type MemoryUse,
  type PlannedUse,
  type Profile,
  type ProfileRow,
  type TraceEvent,
  type Tuner,
  type TunerOptions,
  type TuningData,
  type TuningRecord,
  type TuningStore,
} from './gpu/index.ts'
export * from './ld3m/index.ts'
export { alexNet, convNet, type HostTensor, resNet, type Student, vgg, vit } from './models/index.ts'
