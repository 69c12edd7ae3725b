export { type AdapterChoice, type AdapterOptions, type NodeAdapter, requestAdapter } from './adapter.ts'
export { type OpenDeviceOptions, openDevice } from './device.ts'
export { type AdapterKind, describeAdapter } from './kinds.ts'
