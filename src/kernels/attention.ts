import type { Device, GpuBuffer } from '../gpu/index.ts'
import { blockedAttention, blockedAttentionGrad } from './attention-blocked.ts'
import { FUSED_COLUMNS, fusedAttention, fusedAttentionGrad } from './attention-fused.ts'
import type { AttentionInputs, AttentionSizes } from './attention-types.ts'
import { binary } from './elementwise.ts'
import { reduce } from './reduce.ts'

export type { AttentionInputs, AttentionSizes } from './attention-types.ts'

// Attention is matrix products and a softmax, block by block of scores: products run at a rate that one kernel for all
// three does not reach, and a block's way through memory and back costs less than they do. Only where a GPU holds all
// scores of a workgroup's rows in workgroup memory, one kernel is faster, for it is one launch.

/** Whether one kernel computes attention that walks `columns`. */
const isFused = (device: Device, columns: number): boolean => !device.info.software && columns <= FUSED_COLUMNS

/** softmax(scale·q·kᵀ)·v: [batch, queries, width], and the log of each query's sum of exponentials: [batch, queries]. */
export function attention(
  device: Device,
  q: GpuBuffer,
  k: GpuBuffer,
  v: GpuBuffer,
  sizes: AttentionSizes,
  scale: number,
): { output: GpuBuffer; lse: GpuBuffer } {
  return (isFused(device, sizes.keys) ? fusedAttention : blockedAttention)(device, q, k, v, sizes, scale)
}

/** The gradients with respect to q, k and v, each if needed. */
export function attentionGrad(
  device: Device,
  inputs: AttentionInputs,
  needs: readonly boolean[],
  sizes: AttentionSizes,
  scale: number,
): (GpuBuffer | undefined)[] {
  const { output, grad } = inputs
  const { batch, queries, keys, width } = sizes
  const shape = [batch, queries, width]
  const product = binary(device, 'MUL', grad, shape, output, shape, shape)
  const delta = reduce(device, product, batch * queries, width, 1)
  device.release(product)
  // The gradients with respect to k and v walk the queries.
  const gradients = (isFused(device, Math.max(queries, keys)) ? fusedAttentionGrad : blockedAttentionGrad)(
    device,
    inputs,
    delta,
    needs,
    sizes,
    scale,
  )
  device.release(delta)
  return gradients
}
