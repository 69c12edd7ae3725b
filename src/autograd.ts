/**
 * Tensors on the GPU, ops, and gradients of every order.
 *
 * @module ld3m-gpu/autograd
 */
export * from './autograd/index.ts'
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
export * from './optim/index.ts'
