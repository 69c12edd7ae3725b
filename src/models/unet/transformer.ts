import { ops, type Tensor } from '../../autograd/index.ts'
import { joinHeads, splitHeads } from '../heads.ts'
import { compose, conv2d, conv2dOnto, groupNorm, layerNorm, linear, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import type { UnetLayer } from './residual.ts'

/** Attention of x: [N, T, channels] to context: [N, L, contextDim]; to itself where they are the same tensor. */
function attention(channels: number, contextDim: number, heads: number): Module<[x: Tensor, context: Tensor]> {
  const children = {
    to_q: linear(channels, channels, { bias: false }),
    to_k: linear(contextDim, channels, { bias: false }),
    to_v: linear(contextDim, channels, { bias: false }),
    to_out: sequential({ 0: linear(channels, channels) }),
  }
  return compose(children, ({ to_q, to_k, to_v, to_out }, x: Tensor, context: Tensor) => {
    // The weight on a single token is 1 whatever the query: one value for all positions, [N, 1, channels]. Queries
    // and keys get no gradient, which is exact.
    if (context.shape[1] === 1) return to_out(to_v(context))
    const [q, k, v] = [to_q(x), to_k(context), to_v(context)].map((t) => splitHeads(t, heads)) as [
      Tensor,
      Tensor,
      Tensor,
    ]
    return to_out(joinHeads(ops.attention(q, k, v, { scale: (channels / heads) ** -0.5 }), heads))
  })
}

/** A linear layer whose output is gated: x: […, inFeatures] → a·GELU(gate), […, outFeatures]. */
function geglu(inFeatures: number, outFeatures: number): Module {
  return compose({ proj: linear(inFeatures, 2 * outFeatures) }, ({ proj }, x: Tensor) => {
    const both = proj(x)
    const axis = both.rank - 1
    const value = ops.slice(both, axis, 0, outFeatures)
    return ops.mul(value, ops.gelu(ops.slice(both, axis, outFeatures, 2 * outFeatures)))
  })
}

/** Self-attention, cross-attention and a feed-forward layer, each normalised first and added to its input. */
function transformerBlock(channels: number, contextDim: number, heads: number): Module<[x: Tensor, context: Tensor]> {
  const children = {
    attn1: attention(channels, channels, heads),
    ff: compose(
      { net: sequential({ 0: geglu(channels, 4 * channels), 2: linear(4 * channels, channels) }) },
      ({ net }, x: Tensor) => net(x),
    ),
    attn2: attention(channels, contextDim, heads),
    norm1: layerNorm(channels),
    norm2: layerNorm(channels),
    norm3: layerNorm(channels),
  }
  return compose(children, ({ attn1, attn2, ff, norm1, norm2, norm3 }, x: Tensor, context: Tensor) => {
    const normed = norm1(x)
    const first = ops.add(x, attn1(normed, normed))
    // With one token the query is not looked at.
    const query = context.shape[1] === 1 ? first : norm2(first)
    const second = ops.add(first, attn2(query, context))
    return ops.add(second, ff(norm3(second)))
  })
}

/** A transformer block over the positions of a map, added to it; the last projection starts from zeros. */
export function spatialTransformer(channels: number, contextDim: number, heads: number, groups: number): UnetLayer {
  const children = {
    norm: groupNorm(groups, channels, { eps: 1e-6 }),
    proj_in: conv2d(channels, channels, { kernel: 1 }),
    transformer_blocks: sequential<[Tensor]>([transformerBlock(channels, contextDim, heads)]),
    proj_out: conv2dOnto(channels, channels, { kernel: 1, zeroInit: true }),
  }
  const layer = compose(children, ({ norm, proj_in, transformer_blocks, proj_out }, x: Tensor, context: Tensor) => {
    const [n, , h, w] = x.shape as [number, number, number, number]
    const map = ops.reshape(proj_in(norm(x)), [n, channels, h * w])
    const tokens = transformer_blocks(ops.permute(map, [0, 2, 1]), context)
    const back = ops.reshape(ops.permute(tokens, [0, 2, 1]), [n, channels, h, w])
    return proj_out(back, x)
  })
  // A UNet with transformers has a context.
  return {
    parameters: layer.parameters,
    apply: (params, x, _embedding, context) => layer.apply(params, x, context as Tensor),
  }
}
