import { ops, scope, type Tensor } from '../../autograd/index.ts'
import { childParameters, type Params } from '../module.ts'
import { type Coder, convolutionalCoder } from './coder.ts'
import { checkCoderOptions, type KlAutoencoderOptions } from './options.ts'

/** A normal distribution for each element of a latent; both tensors [N, latentChannels, h, w]. */
export interface Posterior {
  readonly mean: Tensor
  /** The log of the variance, in [−30, 20]. */
  readonly logVariance: Tensor
}

/** Its reconstructions are those of the means. */
export interface KlAutoencoder extends Coder {
  readonly kind: 'kl'
  readonly options: KlAutoencoderOptions
  /** Images [N, channels, H, W] to the distributions of their latents; a sample is mean + exp(logVariance/2)·ε. */
  posterior(params: Params, images: Tensor): Posterior
}

/**
 * The autoencoder of latent diffusion whose latents are regularised towards a standard normal distribution (Rombach et
 * al., 2022, KL-reg.), with its state-dict names. The encoder gives means and log-variances, so twice the channels.
 */
export function klAutoencoder(options: KlAutoencoderOptions): KlAutoencoder {
  const { latentChannels: latent } = options
  checkCoderOptions('klAutoencoder', options, {})
  const { children, downsampling, encode: moments, decode } = convolutionalCoder(options, 2 * latent)
  const encode = (params: Params, images: Tensor): Tensor =>
    scope(() => ops.slice(moments(params, images), 1, 0, latent))
  return {
    kind: 'kl',
    options,
    downsampling,
    parameters: childParameters(children),
    encode,
    posterior: (params, images) =>
      scope(() => {
        const both = moments(params, images)
        const logVariance = ops.clamp(ops.slice(both, 1, latent, 2 * latent), -30, 20)
        return { mean: ops.slice(both, 1, 0, latent), logVariance }
      }),
    decode,
    apply: (params, images) => scope(() => decode(params, encode(params, images))),
  }
}
