import { expectShape, ops, scope, type Tensor } from '../../autograd/index.ts'
import { shapeError } from '../../errors.ts'
import { conv2d } from '../layers.ts'
import { childParameters, type Module, type Params } from '../module.ts'
import { decoder } from './decoder.ts'
import { encoder } from './encoder.ts'
import { checkOptions, type VqAutoencoderOptions } from './options.ts'

/** Applied to images [N, channels, H, W], it gives their reconstructions through the codebook. */
export interface VqAutoencoder extends Module<[images: Tensor]> {
  readonly options: VqAutoencoderOptions
  /** How many times smaller a latent is than its image. */
  readonly downsampling: number
  /** Images [N, channels, H, W] → latents before quantisation, [N, latentChannels, H/downsampling, W/downsampling]. */
  encode(params: Params, images: Tensor): Tensor
  /** The nearest codes of latents [N, latentChannels, h, w] and their rows of the codebook; see `ops.vectorQuantize`. */
  quantize(params: Params, latents: Tensor): ops.Quantized
  /** Quantised latents → images. */
  decode(params: Params, latents: Tensor): Tensor
}

/**
 * The vector-quantised autoencoder of latent diffusion (Rombach et al., 2022) with its state-dict names; a strided stem
 * adds `decoder.conv_stem`.
 */
export function vqAutoencoder(options: VqAutoencoderOptions): VqAutoencoder {
  checkOptions(options)
  const { channels, channelMult, latentChannels, codebookSize, stem } = options
  const downsampling = 2 ** (channelMult.length - (stem === 'strided' ? 0 : 1))
  const codeInit = { kind: 'uniform', bound: 1 / codebookSize } as const
  const children = {
    encoder: encoder(options),
    decoder: decoder(options),
    quantize: { parameters: { 'embedding.weight': { shape: [codebookSize, latentChannels], init: codeInit } } },
    quant_conv: conv2d(latentChannels, latentChannels, { kernel: 1 }),
    post_quant_conv: conv2d(latentChannels, latentChannels, { kernel: 1 }),
  }
  const call = (name: 'encoder' | 'decoder' | 'quant_conv' | 'post_quant_conv', params: Params, x: Tensor) =>
    children[name].apply(params.child(name), x)

  const encode = (params: Params, images: Tensor): Tensor => {
    expectShape('encode: images', images.shape, ['N', channels, 'H', 'W'])
    const [, , h, w] = images.shape as [number, number, number, number]
    if (h % downsampling !== 0 || w % downsampling !== 0) {
      throw shapeError(
        `encode: images are ${h}×${w}; both must be multiples of ${downsampling}.`,
        'Pad or resize them.',
      )
    }
    return scope(() => call('quant_conv', params, call('encoder', params, images)))
  }
  const quantize = (params: Params, latents: Tensor): ops.Quantized => {
    expectShape('quantize: latents', latents.shape, ['N', latentChannels, 'h', 'w'])
    return ops.vectorQuantize(latents, params.child('quantize').get('embedding.weight'))
  }
  const decode = (params: Params, latents: Tensor): Tensor => {
    expectShape('decode: latents', latents.shape, ['N', latentChannels, 'h', 'w'])
    return scope(() => call('decoder', params, call('post_quant_conv', params, latents)))
  }
  return {
    options,
    downsampling,
    parameters: childParameters(children),
    encode,
    quantize,
    decode,
    apply: (params, images) => scope(() => decode(params, quantize(params, encode(params, images)).quantized)),
  }
}
