import { optionError } from '../errors.ts'
import { autoencoder, freeze, initialize, takeFrozen, unet } from '../models/index.ts'
import { Prior } from './prior.ts'

/**
 * The same prior for square images of another size: its networks are convolutional, and the paper distils 128×128 with a
 * prior of 256×256. Shares the parameters' memory; each is disposed for itself.
 * @throws Ld3mError `option` for a size that the networks cannot halve as often as they do
 */
export function priorAtSize(prior: Prior, size: number): Prior {
  const { config } = prior
  const unit = autoencoder(config.autoencoder).downsampling * 2 ** (config.denoiser.channelMult.length - 1)
  if (!Number.isInteger(size) || size < unit || size % unit !== 0) {
    throw optionError(`priorAtSize: size is ${size}.`, `Use a multiple of ${unit} for this prior.`)
  }
  const image = { channels: config.image.channels, height: size, width: size }
  return new Prior(
    prior.device,
    { ...config, image },
    freeze(prior.autoencoderState),
    freeze(prior.denoiserState),
    prior.embedding.detach(),
  )
}

/**
 * The prior with an untrained denoiser in place of its own: the paper's "random" generator, whose autoencoder is trained.
 * Shares the autoencoder's memory.
 */
export function withRandomDenoiser(prior: Prior, seed = 0): Prior {
  const { config, device } = prior
  return new Prior(
    device,
    { ...config, name: `${config.name}, random denoiser` },
    freeze(prior.autoencoderState),
    takeFrozen(initialize(device, unet(config.denoiser), { seed })),
    prior.embedding.detach(),
  )
}
