import { ops, type Tensor } from '../../autograd/index.ts'
import { compose, conv2dOnto, groupNorm } from '../layers.ts'
import type { UnetLayer } from './residual.ts'

/**
 * Attention of a map's positions to each other, added to it: the block of unconditional denoisers. Its 1×1 convolutions
 * are one-dimensional in the state dict: weights are [out, in, 1]. Queries, keys and values of a head lie together. The
 * projection starts from zeros.
 */
export function attentionBlock(channels: number, heads: number, groups: number): UnetLayer {
  const children = {
    norm: groupNorm(groups, channels),
    qkv: conv2dOnto(channels, 3 * channels, { kernel: [1] }),
    proj_out: conv2dOnto(channels, channels, { kernel: [1], zeroInit: true }),
  }
  const depth = channels / heads
  return compose(children, ({ norm, qkv, proj_out }, x: Tensor) => {
    const [n, , h, w] = x.shape as [number, number, number, number]
    const all = ops.reshape(qkv(norm(x), undefined), [n * heads, 3 * depth, h * w])
    const part = (i: number) => ops.permute(ops.slice(all, 1, i * depth, (i + 1) * depth), [0, 2, 1])
    const attended = ops.attention(part(0), part(1), part(2), { scale: depth ** -0.5 })
    return proj_out(ops.reshape(ops.permute(attended, [0, 2, 1]), [n, channels, h, w]), x)
  })
}
