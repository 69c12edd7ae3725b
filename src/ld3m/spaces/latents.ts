import { ops, random, type Tensor, tensor } from '../../autograd/index.ts'
import { toSigned } from '../normalization.ts'
import type { Prior } from '../prior.ts'
import { LATENTS_STREAM } from '../process.ts'
import type { SpaceStart } from './space.ts'

/** Latents to start from: encoded from the real images, before quantisation, or normal ones. A leaf, [M, c, h, w]. */
export function initialLatents(prior: Prior, { labels, images, seed }: SpaceStart): Tensor {
  const { device } = prior
  if (!images) {
    const scaled = random.normal(device, [labels.length, ...prior.latentShape], { seed, stream: LATENTS_STREAM })
    return ops.scale(scaled, 1 / prior.config.latentScale).leaf()
  }
  const { channels, height, width } = prior.config.image
  const real = tensor(device, images, { shape: [labels.length, channels, height, width] })
  return prior.encode(toSigned(real)).leaf()
}
