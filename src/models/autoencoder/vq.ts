import { expectShape, ops, scope, type Tensor } from '../../autograd/index.ts'
import { childParameters, type Params } from '../module.ts'
import { type Coder, convolutionalCoder } from './coder.ts'
import { checkCoderOptions, type VqAutoencoderOptions } from './options.ts'

/** Its reconstructions pass through the codebook. */
export interface VqAutoencoder extends Coder {
  readonly kind: 'vq'
  readonly options: VqAutoencoderOptions
  /** The nearest codes of latents [N, latentChannels, h, w] and their rows of the codebook; see `ops.vectorQuantize`. */
  quantize(params: Params, latents: Tensor): ReturnType<typeof ops.vectorQuantize>
}

/**
 * The vector-quantised autoencoder of latent diffusion (Rombach et al., 2022) with its state-dict names; a strided stem
 * adds `decoder.conv_stem`.
 */
export function vqAutoencoder(options: VqAutoencoderOptions): VqAutoencoder {
  const { latentChannels, codebookSize } = options
  checkCoderOptions('vqAutoencoder', options, { codebookSize })
  const { children, downsampling, encode, decode } = convolutionalCoder(options, latentChannels)
  const codeInit = { kind: 'uniform', bound: 1 / codebookSize } as const
  const codebook = { parameters: { 'embedding.weight': { shape: [codebookSize, latentChannels], init: codeInit } } }
  const quantize = (params: Params, latents: Tensor): ReturnType<typeof ops.vectorQuantize> => {
    expectShape('quantize: latents', latents.shape, ['N', latentChannels, 'h', 'w'])
    return ops.vectorQuantize(latents, params.child('quantize').get('embedding.weight'))
  }
  // Each parameter draws its initial values by its place.
  const { encoder, decoder, ...convolutions } = children
  return {
    kind: 'vq',
    options,
    downsampling,
    parameters: childParameters({ encoder, decoder, quantize: codebook, ...convolutions }),
    encode,
    quantize,
    decode,
    apply: (params, images) => scope(() => decode(params, quantize(params, encode(params, images)).quantized)),
  }
}
