export * from './autoencoder/index.ts'
export { loadCheckpoint } from './checkpoint.ts'
export {
  type Conv2dOptions,
  compose,
  conv2d,
  embedding,
  type GroupNormOptions,
  groupNorm,
  identity,
  instanceNorm,
  type LinearOptions,
  layerNorm,
  linear,
  recomputed,
  relu,
  sequential,
  silu,
} from './layers.ts'
export {
  checkStateDict,
  childParameters,
  describeProblems,
  type Init,
  type Module,
  type ParameterSpec,
  Params,
  type StateDict,
  type StateDictProblems,
  stateDictProblems,
} from './module.ts'
export {
  applyModule,
  disposeState,
  freeze,
  type HostTensor,
  halve,
  type InitializeOptions,
  initialize,
  type LoadOptions,
  loadStateDict,
  type NamedArrays,
  parameterCount,
  readStateDict,
  takeFrozen,
} from './state.ts'
export * from './students/index.ts'
export * from './unet/index.ts'
