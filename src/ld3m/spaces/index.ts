import type { AnyDataset } from '../../data/index.ts'
import { formatValue, optionError, shapeError } from '../../errors.ts'
import type { Device } from '../../gpu/index.ts'
import { oneOf } from '../options.ts'
import { Prior } from '../prior.ts'
import { priorClassesOf } from '../prior-classes.ts'
import { type DiffusionOptions, resolveDiffusion } from '../process.ts'
import { autoencoderSpace } from './autoencoder.ts'
import { latentDiffusionSpace } from './latent-diffusion.ts'
import { pixelSpace } from './pixel.ts'
import type { ImageSpace } from './space.ts'

export {
  type ImageSpace,
  mapParameters,
  type ParameterName,
  type SpaceNoise,
  type SyntheticParameters,
  sliceParameters,
} from './space.ts'

/** LD3M's space: latents and conditionings of a prior, through its reverse process. */
export interface LatentDiffusionSpaceOptions {
  /** Where images are learned: 'latent-diffusion', the default. */
  space?: 'latent-diffusion'
  /** The frozen latent diffusion model; its device does the work. */
  prior: Prior
  device?: never
  /** The reverse process. */
  diffusion?: DiffusionOptions
  /**
   * The prior's class id of each class of the dataset. Default those of the same names; where one of the two has no names,
   * the same numbers, for a prior of as many classes.
   */
  priorClasses?: readonly number[]
}

/** The space of a prior's latents, which are decoded without diffusion: a baseline. */
export interface AutoencoderSpaceOptions {
  /** Where images are learned: 'autoencoder'. */
  space: 'autoencoder'
  /** Its autoencoder is used alone; its device does the work. */
  prior: Prior
  device?: never
  diffusion?: never
  priorClasses?: never
}

/** The space of pixels, without a prior: the other baseline. */
export interface PixelSpaceOptions {
  /** Where images are learned: 'pixel'. */
  space: 'pixel'
  /** Does the work. */
  device: Device
  prior?: never
  diffusion?: never
  priorClasses?: never
}

export type SpaceOptions = LatentDiffusionSpaceOptions | AutoencoderSpaceOptions | PixelSpaceOptions

export const SPACE_OPTIONS = ['space', 'prior', 'device', 'diffusion', 'priorClasses'] as const

/**
 * The space that options describe, for images of this dataset.
 * @throws Ld3mError `option` or `shape` if they do not fit each other
 */
export function spaceOf(where: string, options: SpaceOptions, dataset: AnyDataset): ImageSpace {
  if (!Array.isArray(dataset?.classNames)) {
    throw optionError(`${where}: dataset is ${formatValue(dataset)}.`, 'Pass what openDataset gives, awaited.')
  }
  const { prior, device, diffusion, priorClasses } = options
  const space = oneOf(where, 'space', options.space ?? 'latent-diffusion', ['latent-diffusion', 'autoencoder', 'pixel'])
  const misplaced = (['diffusion', 'priorClasses'] as const).find((name) => options[name] !== undefined)
  if (misplaced && space !== 'latent-diffusion') {
    throw optionError(`${where}: ${misplaced} is of no use in space '${space}'.`, 'Leave it out.')
  }
  if (space === 'pixel') {
    if (!device || prior) throw optionError(`${where}: space 'pixel' takes a device and no prior.`, 'Pass device.')
    return pixelSpace(device, [dataset.channels, dataset.height, dataset.width])
  }
  if (!(prior instanceof Prior) || device) {
    throw optionError(`${where}: space '${space}' takes a prior, whose device does the work.`, 'Pass prior.')
  }
  checkImages(where, dataset, prior)
  if (space === 'autoencoder') return autoencoderSpace(prior)
  const classes = priorClassesOf(where, dataset, prior, priorClasses)
  return latentDiffusionSpace(prior, resolveDiffusion(diffusion), classes)
}

function checkImages(where: string, { channels, height, width }: AnyDataset, prior: Prior): void {
  const { image } = prior.config
  if (channels === image.channels && height === image.height && width === image.width) return
  throw shapeError(
    `${where}: the dataset has images of ${channels}×${height}×${width}; ` +
      `the prior was trained on ${image.channels}×${image.height}×${image.width}.`,
    `${adviceFor({ channels, height, width }, image)}, or use another prior.`,
  )
}

/** How images become those of the prior. */
function adviceFor(own: ImageShape, wanted: ImageShape): string {
  const opened = (fields: string) => `openDataset(…, { ${fields} })`
  const channels = own.channels === wanted.channels ? undefined : `channels: ${wanted.channels}`
  if (own.height === wanted.height && own.width === wanted.width) return `Open it with ${opened(`${channels}`)}`
  const size = `size: ${wanted.height}`
  return channels ? `Open it with ${opened(`${size}, ${channels}`)}` : `Open it with ${opened(size)}, or pad it (padTo)`
}

type ImageShape = Readonly<Record<'channels' | 'height' | 'width', number>>
