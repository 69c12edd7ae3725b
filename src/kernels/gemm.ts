import joinSource from '../../wgsl/gemm_join.wgsl'
import { type Device, defineKernel, type GpuBuffer, loopGrid } from '../gpu/index.ts'
import { bits } from './numbered.ts'

const joinKernel = defineKernel('gemm_join', joinSource)

/** What a product does to its result in the same kernel: out = activation(product + bias + residual). */
export interface GemmEpilogue {
  /** One number an output channel (convolution) or column (matmul). */
  readonly bias?: GpuBuffer | undefined
  /** As large as the result. */
  readonly residual?: GpuBuffer | undefined
  readonly activation?: 'none' | 'relu' | undefined
}

/** None: the product as it is. */
export const NO_EPILOGUE: GemmEpilogue = {}

/** An epilogue as the constants of the kernels that have one. */
export const epilogueConstants = ({ bias, residual, activation = 'none' }: GemmEpilogue) => ({
  ...{ BIAS: bias !== undefined, RESIDUAL: residual !== undefined, ACTIVATION: activation.toUpperCase() },
})

/** An epilogue as a number, for what stands for its constants. */
export const epilogueBits = ({ bias, residual, activation = 'none' }: GemmEpilogue): number =>
  bits(bias !== undefined, residual !== undefined, activation !== 'none')

/** How partial products lie: parts of `count` elements as in the result, or transposed. */
interface Partial {
  readonly splits: number
  readonly count: number
  /** Neighbouring elements that share a bias, and the number of biases. Default 1. */
  readonly inner?: number
  readonly biases?: number
  /** Parts are [inner, width] and the result the transpose of [inner, count / inner]. */
  readonly width?: number
  /** Where the result goes instead of a new buffer, from element `start` on. */
  readonly into?: { readonly buffer: GpuBuffer; readonly start: number } | undefined
}

/** Adds up partial products and applies the epilogue; releases them. */
export function join(device: Device, partial: GpuBuffer, sizes: Partial, epilogue: GemmEpilogue = {}): GpuBuffer {
  const { splits, count, inner = 1, biases = 1, width, into } = sizes
  const out = into?.buffer ?? device.alloc(Math.max(4, count * 4))
  const { bias, residual } = epilogue
  const variant = joinKernel.variant({ TRANSPOSED: width !== undefined, ...epilogueConstants(epilogue) })
  const work = { flops: splits * count, bytes: 4 * (splits + 1 + (residual ? 1 : 0)) * count }
  const params = { count, splits, inner, biases, width: width ?? 0, start: into?.start ?? 0 }
  const buffers = [partial, bias ?? partial, residual ?? partial, out]
  device.dispatch(variant, buffers, params, loopGrid(device, count, 64), work)
  device.release(partial)
  return out
}
