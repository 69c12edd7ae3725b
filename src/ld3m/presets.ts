import { optionError, rejectUnknownOptions } from '../errors.ts'
import { unetPresets, vqPresets } from '../models/index.ts'
import type { PriorConfig } from './prior.ts'

export interface LdmOptions {
  /** Side of the images, a multiple of 32. Default 256, on which the models were trained. */
  size?: number
}

/**
 * Class-conditional ImageNet latent diffusion (cin256-v2; Rombach et al. 2022): the prior of LD3M's experiments, 456
 * million parameters. The paper distils 128×128 images with it as well.
 */
export const ldmImageNet = (options: LdmOptions = {}): PriorConfig => ({
  name: 'ldm-imagenet',
  classes: 1000,
  image: square('ldmImageNet', options),
  latentScale: 1,
  autoencoder: vqPresets.f4,
  denoiser: unetPresets.cin256,
})

/** Unconditional latent diffusion of faces (ffhq-ldm-vq-4): learned are latents alone, without guidance. */
export const ldmFfhq = (options: LdmOptions = {}): PriorConfig => ({
  name: 'ldm-ffhq',
  classes: 0,
  image: square('ldmFfhq', options),
  latentScale: 1,
  autoencoder: vqPresets.f4,
  denoiser: unetPresets.ffhq,
})

function square(where: string, options: LdmOptions): PriorConfig['image'] {
  rejectUnknownOptions(where, options, ['size'])
  const { size = 256 } = options
  if (!Number.isInteger(size) || size < 32 || size % 32 !== 0) {
    throw optionError(`${where}: size is ${size}.`, 'Use a multiple of 32.')
  }
  return { channels: 3, height: size, width: size }
}
