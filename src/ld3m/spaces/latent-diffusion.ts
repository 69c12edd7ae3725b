import { noGrad, scope, tensor } from '../../autograd/index.ts'
import { fromSigned, normalize } from '../normalization.ts'
import type { Prior } from '../prior.ts'
import { drawNoise, generate, type ResolvedDiffusion } from '../process.ts'
import { initialLatents } from './latents.ts'
import { type ImageSpace, parameter } from './space.ts'

/**
 * LD3M's space: latents and conditionings of a frozen latent diffusion model. Conditionings start as the embeddings of
 * the prior's classes, one for each image.
 * @param priorClasses the prior's class id of each class of the dataset
 */
export function latentDiffusionSpace(
  prior: Prior,
  diffusion: ResolvedDiffusion,
  priorClasses: readonly number[],
): ImageSpace {
  const { device } = prior
  return {
    name: 'latent-diffusion',
    device,
    isBounded: true,
    learnable: prior.conditional ? ['latents', 'conditioning'] : ['latents'],
    initial: (start) =>
      scope(() =>
        noGrad(() => {
          const ids = Int32Array.from(start.labels, (k) => priorClasses[k] as number)
          return {
            latents: initialLatents(prior, start),
            conditioning: prior.conditioning(tensor(device, ids)).leaf(),
          }
        }),
      ),
    noise: (count, seed) => {
      const { start, steps } = drawNoise(prior, count, diffusion, seed)
      return [start, ...steps]
    },
    settings: { priorClasses: [...priorClasses], diffusion },
    identity: async () => ({ prior: await prior.identity() }),
    images: (parameters, noise, normalization) => {
      const [start, ...steps] = noise as [(typeof noise)[number], ...typeof noise]
      const [latents, conditioning] = [parameter(parameters, 'latents'), parameter(parameters, 'conditioning')]
      return normalize(fromSigned(generate(prior, latents, conditioning, { start, steps }, diffusion)), normalization)
    },
  }
}
