import { optionError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import type { DiffusionOptions, SpaceOptions } from '../ld3m/index.ts'
import { loadPrior } from '../node/index.ts'
import { countOf, INERT, inertNames, number, sharedArguments } from './arguments.ts'
import { CHANNELS, dataToDistill, imageSizes, type TrainingData, type TrainingImages, trainingImages } from './data.ts'
import { PRIOR_CLASSES, startingClasses } from './prior-classes.ts'

/** What says in which space images are learned, and how they are made there. */
export const SPACE_ARGUMENTS = sharedArguments({
  prior: {
    type: 'string',
    valueHint: 'FILE',
    description: 'The latent diffusion model, safetensors or PyTorch; of use in every space but pixel',
  },
  ...INERT,
  space: {
    type: 'enum',
    options: ['latent-diffusion', 'autoencoder', 'pixel'],
    default: 'latent-diffusion',
    description: "Where images are learned: the prior's latents, these without diffusion, or pixels without a prior",
  },
  size: {
    type: 'string',
    valueHint: 'N',
    description: 'Sides of the images, where the prior does not say: in pixel space, or of a published model (256)',
  },
  channels: { ...CHANNELS.channels, description: `In pixel space: ${CHANNELS.channels.description}` },
  'prior-classes': PRIOR_CLASSES,
  timesteps: { type: 'string', valueHint: 'N', description: 'Steps of the diffusion; default 10' },
  guidance: { type: 'string', valueHint: 'X', description: 'Scale of classifier-free guidance; default 3' },
  residual: {
    type: 'enum',
    options: ['code', 'paper', 'none'],
    description: "What carries gradients past the denoiser: as in the authors' code (default), as in Eq. 7, or nothing",
  },
})

/** Their values. */
export interface SpaceArguments {
  readonly prior?: string | undefined
  readonly inert?: string | undefined
  readonly space: string
  readonly size?: string | undefined
  readonly channels?: string | undefined
  readonly 'prior-classes'?: string | undefined
  readonly timesteps?: string | undefined
  readonly guidance?: string | undefined
  readonly residual?: string | undefined
}

type SpaceOpener = (device: Device, data: TrainingData) => Promise<SpaceOptions & Omit<TrainingImages, 'whole'>>

/**
 * What opens the images and the space that a command line describes.
 * @throws Ld3mError `option`, before anything is opened, for an option of another space or one that is missing
 */
export function spaceOpener(given: SpaceArguments): SpaceOpener {
  const { prior: file, inert, space, size, channels, 'prior-classes': listed } = given
  const diffusion = diffusionOf(given)
  if (diffusion && space !== 'latent-diffusion') {
    throw optionError(`--space ${space} has no diffusion.`, 'Leave out --timesteps, --guidance and --residual.')
  }
  if (listed !== undefined && space !== 'latent-diffusion') {
    throw optionError(`--prior-classes is of no use to --space ${space}.`, 'Leave it out.')
  }
  if (space === 'pixel') {
    const stray = ['prior', 'inert'].find((name) => given[name as 'prior' | 'inert'] !== undefined)
    if (stray) throw optionError(`--${stray} is of no use to --space pixel.`, 'Leave one of them out.')
    const sizes = imageSizes(size, channels)
    return async (device, data) => {
      const { whole: _, ...images } = await trainingImages(data, sizes)
      return { ...images, space, device }
    }
  }
  if (channels !== undefined) {
    throw optionError(`--channels is of no use to --space ${space}, where the prior says it.`, 'Leave it out.')
  }
  if (file === undefined) throw optionError(`--space ${space} needs --prior.`, 'Name the file of a prior.')
  const sides = size === undefined ? {} : { size: countOf('size', size) }
  return async (device, data) => {
    const prior = await loadPrior(device, file, { ...sides, ...inertNames(inert) })
    const { whole, ...images } = await dataToDistill(data, prior)
    if (space === 'autoencoder') return { ...images, prior, space }
    const starts = startingClasses(prior, images.dataset, whole, listed)
    return { ...images, prior, ...starts, ...(diffusion && { diffusion }) }
  }
}

function diffusionOf(given: SpaceArguments): DiffusionOptions | undefined {
  const { timesteps: steps, guidance, residual } = given
  const options: DiffusionOptions = {
    ...(steps !== undefined && { steps: countOf('timesteps', steps) }),
    ...(guidance !== undefined && { guidance: number('guidance', guidance) }),
    ...(residual !== undefined && { residual: residual as NonNullable<DiffusionOptions['residual']> }),
  }
  return Object.keys(options).length > 0 ? options : undefined
}
