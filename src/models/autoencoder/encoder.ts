import type { Tensor } from '../../autograd/index.ts'
import { compose, conv2d, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import { downsample, middle, normSilu, resnetBlock } from './blocks.ts'
import type { CoderOptions } from './options.ts'

/** [N, channels, H, W] → [N, outChannels, H/f, W/f]. */
export function encoder(options: CoderOptions, outChannels: number): Module {
  const { channels, baseChannels, channelMult, numResBlocks, groups, midAttention, stem } = options
  const last = channelMult.length - 1
  let width = baseChannels
  const down = channelMult.map((mult, level) => {
    const blocks = Array.from({ length: numResBlocks }, () => {
      const block = resnetBlock(width, mult * baseChannels, groups)
      width = mult * baseChannels
      return block
    })
    const children = { block: sequential(blocks), ...(level < last ? { downsample: downsample(width) } : {}) }
    return compose(children, ({ block, downsample: shrink = (x: Tensor) => x }, x: Tensor) => shrink(block(x)))
  })
  const stride = stem === 'strided' ? 2 : 1
  const children = {
    conv_in: conv2d(channels, baseChannels, { kernel: 3, stride, padding: 1 }),
    down: sequential(down),
    mid: middle(width, groups, midAttention),
    norm_out: normSilu(groups, width),
    conv_out: conv2d(width, outChannels, { kernel: 3, padding: 1 }),
  }
  return compose(children, ({ conv_in, down: levels, mid, norm_out, conv_out }, x: Tensor) =>
    conv_out(norm_out(mid(levels(conv_in(x))))),
  )
}
