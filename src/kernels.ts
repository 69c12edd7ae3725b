/**
 * Launch functions of the hand-written WGSL kernels, for use without autograd.
 *
 * @module ld3m-gpu/kernels
 */
export {
  Device,
  defineKernel,
  GpuBuffer,
  Kernel,
  kernels,
  linearGrid,
  loopGrid,
  type Variant,
  type Work,
} from './gpu/index.ts'
export * from './kernels/index.ts'
