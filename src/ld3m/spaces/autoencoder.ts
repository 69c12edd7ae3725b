import { noGrad, scope } from '../../autograd/index.ts'
import { fromSigned, normalize } from '../normalization.ts'
import type { Prior } from '../prior.ts'
import { initialLatents } from './latents.ts'
import { type ImageSpace, parameter } from './space.ts'

/** The prior without its diffusion: latents that are quantised and decoded as they are (Table 6 of the paper). */
export const autoencoderSpace = (prior: Prior): ImageSpace => ({
  name: 'autoencoder',
  device: prior.device,
  isBounded: true,
  learnable: ['latents'],
  initial: (start) => scope(() => noGrad(() => ({ latents: initialLatents(prior, start) }))),
  noise: () => [],
  settings: {},
  identity: async () => ({ prior: await prior.identity() }),
  images: (parameters, _noise, normalization) =>
    normalize(fromSigned(prior.decode(parameter(parameters, 'latents'))), normalization),
})
