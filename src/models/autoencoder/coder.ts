import { expectShape, scope, type Tensor } from '../../autograd/index.ts'
import { shapeError } from '../../errors.ts'
import { conv2d } from '../layers.ts'
import type { Module, Params } from '../module.ts'
import { decoder } from './decoder.ts'
import { encoder } from './encoder.ts'
import type { CoderOptions } from './options.ts'

/** What every autoencoder can do. Applied to images [N, channels, H, W], it gives their reconstructions. */
export interface Coder extends Module<[images: Tensor]> {
  /** How many times smaller a latent is than its image. */
  readonly downsampling: number
  /**
   * Images [N, channels, H, W], in [−1, 1], to latents [N, latentChannels, H/downsampling, W/downsampling]: before
   * quantisation where there is a codebook, the means where latents have distributions.
   */
  encode(params: Params, images: Tensor): Tensor
  /** Latents, of codes where there is a codebook, to images, about in [−1, 1]. */
  decode(params: Params, latents: Tensor): Tensor
}

/** Throws unless images have the given channels and divide into latents. */
export function checkImages(images: Tensor, channels: number, downsampling: number): void {
  expectShape('encode: images', images.shape, ['N', channels, 'H', 'W'])
  const [, , h, w] = images.shape as [number, number, number, number]
  if (h % downsampling !== 0 || w % downsampling !== 0) {
    throw shapeError(`encode: images are ${h}×${w}; both must be multiples of ${downsampling}.`, 'Pad or resize them.')
  }
}

/**
 * The part that latent diffusion's autoencoders share: an encoder to `moments` channels, a decoder of latents, a 1×1
 * convolution next to each.
 */
export function convolutionalCoder(options: CoderOptions, moments: number) {
  const { channels, channelMult, latentChannels, stem } = options
  const downsampling = 2 ** (channelMult.length - (stem === 'strided' ? 0 : 1))
  const children = {
    encoder: encoder(options, moments),
    decoder: decoder(options),
    quant_conv: conv2d(moments, moments, { kernel: 1 }),
    post_quant_conv: conv2d(latentChannels, latentChannels, { kernel: 1 }),
  }
  const call = (name: keyof typeof children, params: Params, x: Tensor) => children[name].apply(params.child(name), x)
  return {
    children,
    downsampling,
    /** Images to the encoder's moments, [N, moments, h, w]. */
    encode(params: Params, images: Tensor): Tensor {
      checkImages(images, channels, downsampling)
      return scope(() => call('quant_conv', params, call('encoder', params, images)))
    },
    decode(params: Params, latents: Tensor): Tensor {
      expectShape('decode: latents', latents.shape, ['N', latentChannels, 'h', 'w'])
      return scope(() => call('decoder', params, call('post_quant_conv', params, latents)))
    },
  }
}
