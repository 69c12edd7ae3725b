import { noGrad, ops, random, scope, tensor } from '../autograd/index.ts'
import { formatValue, optionError, rejectUnknownOptions } from '../errors.ts'
import type { HostTensor } from '../models/index.ts'
import { chunksOf } from './chunks.ts'
import { fromSigned } from './normalization.ts'
import { atLeastOne, seedOf } from './options.ts'
import type { Prior } from './prior.ts'
import { drawNoise, generate, LATENTS_STREAM, resolveDiffusion, sliceNoise } from './process.ts'

export interface SampleOptions {
  /** The prior's class id. Default: no class, as an unconditional prior has none. */
  classId?: number
  /** Number of images. Default 1. */
  count?: number
  /** DDIM steps, 1…1000. Default 20. */
  steps?: number
  /** Classifier-free guidance scale; 1 turns guidance (and half the work) off. Default 3. */
  guidance?: number
  /** Noise of the reverse process, 0 (deterministic given the seed) … 1. Default 0. */
  eta?: number
  /** The same seed gives the same images on one adapter. Default 0. */
  seed?: number
  /** Images drawn at once, which bounds memory. Default 4. */
  chunk?: number
}

/**
 * Draws images from noise by DDIM (Song et al. 2021) with classifier-free guidance (Ho & Salimans 2022).
 * @returns [count, C, H, W] in [0, 1]
 * @throws Ld3mError `option` for a class that the prior does not have, or an option out of range
 */
export async function sample(prior: Prior, options: SampleOptions = {}): Promise<HostTensor> {
  const known = ['classId', 'count', 'steps', 'guidance', 'eta', 'seed', 'chunk']
  rejectUnknownOptions('sample', options, known)
  const { classId, steps = 20, guidance = 3, eta = 0 } = options
  const { classes, latentScale } = prior.config
  checkClass(classId, classes)
  const count = atLeastOne('sample', 'count', options.count ?? 1)
  const chunk = atLeastOne('sample', 'chunk', options.chunk ?? 4)
  const seed = seedOf('sample', options.seed ?? 0)
  const resolved = resolveDiffusion({ steps, guidance, eta, residual: 'none' })
  // Without a class both predictions of guidance would be the same.
  const diffusion = classId === undefined ? { ...resolved, guidance: 1 } : resolved
  const { device } = prior
  const images = scope(() =>
    noGrad(() => {
      // The process adds noise to latents: of normal ones it makes normal ones.
      const start = random.normal(device, [count, ...prior.latentShape], { seed, stream: LATENTS_STREAM })
      const latents = ops.scale(start, 1 / latentScale)
      const conditioning = prior.conditioning(tensor(device, new Int32Array(count).fill(classId ?? classes)))
      const noise = drawNoise(prior, count, diffusion, seed)
      const parts = chunksOf(count, chunk).map((range) =>
        scope(() => {
          const [z, c] = [ops.slice(latents, 0, ...range), ops.slice(conditioning, 0, ...range)]
          return fromSigned(generate(prior, z, c, sliceNoise(noise, ...range), diffusion))
        }),
      )
      return ops.concat(parts, 0)
    }),
  )
  const { shape } = images
  try {
    return { shape, data: await images.read() }
  } finally {
    images.dispose()
  }
}

function checkClass(classId: number | undefined, classes: number): void {
  if (classId === undefined || (Number.isInteger(classId) && classId >= 0 && classId < classes)) return
  throw optionError(
    `sample: classId is ${formatValue(classId)}.`,
    classes === 0 ? 'This prior is unconditional: leave it out.' : `The prior's classes are 0 to ${classes - 1}.`,
  )
}
