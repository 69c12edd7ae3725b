import { ops, type Tensor } from '../../autograd/index.ts'
import { compose, conv2d, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import { middle, normSilu, resnetBlock, upsample } from './blocks.ts'
import type { CoderOptions } from './options.ts'

type Calls = (x: Tensor) => Tensor

/** [N, latentChannels, h, w] → [N, channels, f·h, f·w]. */
export function decoder(options: CoderOptions): Module {
  const { channels, baseChannels, channelMult, numResBlocks, latentChannels, groups, midAttention, stem } = options
  const lowest = (channelMult.at(-1) as number) * baseChannels
  let width = lowest
  // Levels are numbered by resolution, 0 the highest, and run from the lowest up.
  const levels = [...channelMult.entries()].reverse().map(([level, mult]) => {
    const blocks = Array.from({ length: numResBlocks + 1 }, () => {
      const block = resnetBlock(width, mult * baseChannels, groups)
      width = mult * baseChannels
      return block
    })
    const children = { block: sequential(blocks), ...(level > 0 ? { upsample: upsample(width) } : {}) }
    const module = compose(children, ({ block, upsample: grow = (x: Tensor) => x }, x: Tensor) => grow(block(x)))
    return [String(level), module] as const
  })
  const up = compose(Object.fromEntries(levels) as Record<string, Module>, (children, x: Tensor) =>
    levels.reduce((h, [level]) => (children[level] as Calls)(h), x),
  )
  const narrow = Math.ceil(width / 2)
  const children = {
    conv_in: conv2d(latentChannels, lowest, { kernel: 3, padding: 1 }),
    mid: middle(lowest, groups, midAttention),
    up,
    norm_out: normSilu(groups, width),
    // Full resolution sees half the channels and one convolution.
    ...(stem === 'strided' ? { conv_stem: conv2d(width, narrow, { kernel: 3, padding: 1 }) } : {}),
    conv_out: conv2d(stem === 'strided' ? narrow : width, channels, { kernel: 3, padding: 1 }),
  }
  return compose(children, ({ conv_in, mid, up: levelsUp, norm_out, conv_stem, conv_out }, z: Tensor) => {
    const h = norm_out(levelsUp(mid(conv_in(z))))
    return conv_out(conv_stem ? ops.upsampleNearest2d(ops.silu(conv_stem(h)), 2) : h)
  })
}
