import { ops, type Tensor } from '../../autograd/index.ts'
import { compose, conv2d, conv2dOnto, groupNorm, identity } from '../layers.ts'
import type { Module } from '../module.ts'

/** LDM's autoencoders use this in every group norm. */
const EPS = 1e-6

export const normSilu = (groups: number, channels: number): Module =>
  groupNorm(groups, channels, { eps: EPS, activation: 'silu' })

/** Two normalised 3×3 convolutions added to the input. The second starts from zeros. */
export function resnetBlock(inChannels: number, outChannels: number, groups: number): Module {
  const children = {
    norm1: normSilu(groups, inChannels),
    conv1: conv2d(inChannels, outChannels, { kernel: 3, padding: 1 }),
    norm2: normSilu(groups, outChannels),
    conv2: conv2dOnto(outChannels, outChannels, { kernel: 3, padding: 1, zeroInit: true }),
    ...(inChannels === outChannels ? {} : { nin_shortcut: conv2d(inChannels, outChannels, { kernel: 1 }) }),
  }
  return compose(children, ({ norm1, conv1, norm2, conv2, nin_shortcut = (x: Tensor) => x }, x: Tensor) =>
    conv2(norm2(conv1(norm1(x))), nin_shortcut(x)),
  )
}

/** Single-head attention over the positions of a map, added to it. The projection starts from zeros. */
export function attentionBlock(channels: number, groups: number): Module {
  const children = {
    norm: groupNorm(groups, channels, { eps: EPS }),
    q: conv2d(channels, channels, { kernel: 1 }),
    k: conv2d(channels, channels, { kernel: 1 }),
    v: conv2d(channels, channels, { kernel: 1 }),
    proj_out: conv2dOnto(channels, channels, { kernel: 1, zeroInit: true }),
  }
  return compose(children, ({ norm, q, k, v, proj_out }, x: Tensor) => {
    const normed = norm(x)
    const tokens = (map: Tensor) => ops.permute(ops.reshape(map, [map.shape[0] as number, channels, -1]), [0, 2, 1])
    const attended = ops.attention(tokens(q(normed)), tokens(k(normed)), tokens(v(normed)), { scale: channels ** -0.5 })
    return proj_out(ops.reshape(ops.permute(attended, [0, 2, 1]), x.shape), x)
  })
}

/** Half as high and wide: zeros to the right and below, then a 3×3 convolution of stride 2. */
export const downsample = (channels: number): Module =>
  compose(
    { conv: conv2d(channels, channels, { kernel: 3, stride: 2, padding: [0, 1, 0, 1] }) },
    ({ conv }, x: Tensor) => conv(x),
  )

/** Twice as high and wide by repeating pixels, then a 3×3 convolution. */
export const upsample = (channels: number): Module =>
  compose({ conv: conv2d(channels, channels, { kernel: 3, padding: 1 }) }, ({ conv }, x: Tensor) =>
    conv(ops.upsampleNearest2d(x, 2)),
  )

/** The lowest level: residual blocks with attention between them. */
export function middle(channels: number, groups: number, withAttention: boolean): Module {
  const children = {
    block_1: resnetBlock(channels, channels, groups),
    attn_1: withAttention ? attentionBlock(channels, groups) : identity,
    block_2: resnetBlock(channels, channels, groups),
  }
  return compose(children, ({ block_1, attn_1, block_2 }, x: Tensor) => block_2(attn_1(block_1(x))))
}
