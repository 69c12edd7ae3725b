import type { Device, GpuBuffer } from '../gpu/index.ts'
import { blockedAttention, blockedAttentionGrad } from './attention-blocked.ts'
import { fusedAttention, fusedAttentionGrad } from './attention-fused.ts'
import type { AttentionInputs, AttentionSizes } from './attention-types.ts'
import { binary } from './elementwise.ts'
import { reduce } from './reduce.ts'

export type { AttentionInputs, AttentionSizes } from './attention-types.ts'

// A GPU keeps a tile of scores in workgroup memory, between barriers. On a software adapter those cost more than the
// caches, where a block of scores fits as well: there attention is matrix products and a softmax, block by block.

/** softmax(scale·q·kᵀ)·v: [batch, queries, width], and the log of each query's sum of exponentials: [batch, queries]. */
export function attention(
  device: Device,
  q: GpuBuffer,
  k: GpuBuffer,
  v: GpuBuffer,
  sizes: AttentionSizes,
  scale: number,
): { output: GpuBuffer; lse: GpuBuffer } {
  return (device.info.software ? blockedAttention : fusedAttention)(device, q, k, v, sizes, scale)
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
  const { batch, queries, width } = sizes
  const shape = [batch, queries, width]
  const product = binary(device, 'MUL', grad, shape, output, shape, shape)
  const delta = reduce(device, product, batch * queries, width, 1)
  device.release(product)
  const gradients = (device.info.software ? blockedAttentionGrad : fusedAttentionGrad)(
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
