import { ops, type Tensor } from '../../autograd/index.ts'
import { compose, conv2d, conv2dOnto, groupNorm, identity, linear, sequential } from '../layers.ts'
import type { Module } from '../module.ts'

/** A layer of the UNet: maps [N, C, H, W], given the time embedding after SiLU [N, E] and the context [N, L, D], if any. */
export type UnetLayer = Module<[x: Tensor, embedding: Tensor, context: Tensor | undefined]>

/** Two normalised 3×3 convolutions with the time embedding added in between. The second starts from zeros. */
export function residualBlock(
  inChannels: number,
  outChannels: number,
  embeddingDim: number,
  groups: number,
): UnetLayer {
  // The numbers are those of LDM's sequences: norm, SiLU (here part of the norm), dropout (unused), convolution.
  const children = {
    in_layers: sequential({
      0: groupNorm(groups, inChannels, { activation: 'silu' }),
      2: conv2d(inChannels, outChannels, { kernel: 3, padding: 1 }),
    }),
    emb_layers: sequential({ 1: linear(embeddingDim, outChannels) }),
    out_layers: sequential<[residual: Tensor]>({
      0: groupNorm(groups, outChannels, { activation: 'silu' }),
      3: conv2dOnto(outChannels, outChannels, { kernel: 3, padding: 1, zeroInit: true }),
    }),
    skip_connection: inChannels === outChannels ? identity : conv2d(inChannels, outChannels, { kernel: 1 }),
  }
  return compose(children, ({ in_layers, emb_layers, out_layers, skip_connection }, x: Tensor, embedding: Tensor) => {
    const shift = ops.reshape(emb_layers(embedding), [-1, outChannels, 1, 1])
    return out_layers(ops.add(in_layers(x), shift), skip_connection(x))
  })
}

/** 3×3 convolution of stride 2. */
export const downsample = (channels: number): UnetLayer =>
  compose({ op: conv2d(channels, channels, { kernel: 3, stride: 2, padding: 1 }) }, ({ op }, x: Tensor) => op(x))

/** Twice as high and wide by repeating pixels, then a 3×3 convolution. */
export const upsample = (channels: number): UnetLayer =>
  compose({ conv: conv2d(channels, channels, { kernel: 3, padding: 1 }) }, ({ conv }, x: Tensor) =>
    conv(ops.upsampleNearest2d(x, 2)),
  )
