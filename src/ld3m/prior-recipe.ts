import type { DatasetInfo } from '../data/index.ts'
import { shapeError } from '../errors.ts'
import { type AutoencoderOptions, autoencoder, type UnetOptions, type VqAutoencoderOptions } from '../models/index.ts'
import type { AutoencoderTraining } from './train-autoencoder.ts'
import type { DenoiserTraining } from './train-denoiser.ts'

/** A denoiser's architecture and how it is trained on the latents of a given autoencoder. */
export interface DenoiserRecipe {
  readonly name: string
  readonly denoiser: UnetOptions
  readonly denoiserTraining: DenoiserTraining
}

/** A prior's architecture and how it is trained. */
export interface PriorRecipe extends DenoiserRecipe {
  readonly autoencoder: VqAutoencoderOptions
  readonly autoencoderTraining: AutoencoderTraining
}

type Images = Pick<DatasetInfo, 'name' | 'channels' | 'height' | 'width'>

/** Sides up to which images count as 32 or 64 pixels wide; larger ones as 128. */
const SMALL = 48
const MIDDLE = 96

const coder = { numResBlocks: 1, groups: 8, midAttention: false, stem: 'strided' } as const

/** By size of the images. Latents are 3×8×8, 3×16×16 and 4×16×16 for sides of 32, 64 and 128. */
const AUTOENCODERS = {
  32: { ...coder, baseChannels: 32, channelMult: [1, 2], latentChannels: 3, codebookSize: 512 },
  64: { ...coder, baseChannels: 32, channelMult: [1, 2], latentChannels: 3, codebookSize: 1024 },
  128: { ...coder, baseChannels: 32, channelMult: [1, 2, 4], latentChannels: 4, codebookSize: 2048 },
} as const

const AUTOENCODER_TRAININGS = {
  32: { steps: 5000, batch: 32, learningRate: 1e-3 },
  64: { steps: 6000, batch: 24, learningRate: 1e-3 },
  128: { steps: 8000, batch: 16, learningRate: 1e-3 },
} as const

/**
 * A recipe for images of this size, for a GPU: about 2 million parameters, and as many steps as samples need to look like
 * their classes. It is a place to start from: spread it, and change what should be otherwise.
 *
 *     const recipe = { ...priorRecipe(dataset), denoiserTraining: { …, steps: 2000, emaDecay: emaDecayFor(2000) } }
 *
 * @throws Ld3mError `shape` if the images' sides do not fit
 */
export function priorRecipe(images: Images): PriorRecipe {
  const size = sizeOf(images)
  const ofImages: VqAutoencoderOptions = { channels: images.channels, ...AUTOENCODERS[size] }
  return {
    autoencoder: ofImages,
    autoencoderTraining: AUTOENCODER_TRAININGS[size],
    ...denoiserRecipe(images, ofImages),
  }
}

/**
 * `emaDecay` for a training of so many steps: an average over about a twentieth of them. A longer one still holds a part of
 * the random weights that a short training begins with, of which nothing can be drawn.
 */
export const emaDecayFor = (steps: number): number => Math.max(0, 1 - 20 / steps)

const DENOISER_STEPS = 20_000

/**
 * The same for the latents of an autoencoder that is there already: a denoiser with attention at maps of 8×8 and less.
 * @throws Ld3mError `shape` if the images' sides do not fit
 */
export function denoiserRecipe(images: Images, options: AutoencoderOptions): DenoiserRecipe {
  const { downsampling } = autoencoder(options)
  const { name, height, width } = images
  const side = Math.max(height, width) / downsampling
  // Maps of 4×4 are the smallest; attention starts at 8×8.
  const levels = Math.min(4, Math.max(1, Math.floor(Math.log2(side / 4)) + 1))
  const first = Math.min(levels - 1, Math.max(0, Math.ceil(Math.log2(side / 8))))
  const unit = downsampling * 2 ** (levels - 1)
  if (height % unit !== 0 || width % unit !== 0) {
    throw shapeError(
      `Images of ${height}×${width} do not fit a prior that halves them ${Math.log2(unit)} times.`,
      `Resize or pad them to multiples of ${unit}, or give a recipe.`,
    )
  }
  const modelChannels = 32
  return {
    name,
    denoiser: {
      ...{ inChannels: options.latentChannels, modelChannels, channelMult: [1, 2, 3, 4].slice(0, levels) },
      attentionLevels: Array.from({ length: levels - first }, (_, i) => first + i),
      ...{ numResBlocks: 1, contextDim: 64, numHeads: 1, groups: 8 },
    },
    denoiserTraining: {
      ...{ steps: DENOISER_STEPS, batch: 64, learningRate: 1e-3, conditionDropout: 0.1 },
      emaDecay: emaDecayFor(DENOISER_STEPS),
    },
  }
}

function sizeOf({ height, width }: Images): keyof typeof AUTOENCODERS {
  const side = Math.max(height, width)
  if (side < SMALL) return 32
  return side < MIDDLE ? 64 : 128
}
