import { optionError, rejectUnknownOptions } from '../../errors.ts'
import { checkLevelWidths, positiveIntegerList, positiveIntegers } from '../options.ts'

export interface VqAutoencoderOptions {
  /** Colour channels of the images. */
  readonly channels: number
  /** Channels of the highest level. */
  readonly baseChannels: number
  /** Channels of each level, as multiples of baseChannels; each level after the first halves the map. */
  readonly channelMult: readonly number[]
  /** Residual blocks of an encoder level; a decoder level has one more. */
  readonly numResBlocks: number
  /** Channels of a latent, which are the length of a code. */
  readonly latentChannels: number
  readonly codebookSize: number
  /** Groups of every group norm. */
  readonly groups: number
  /** Attention between the residual blocks of the lowest level. */
  readonly midAttention: boolean
  /**
   * `full`: the first level works at the images' resolution, as in latent diffusion. `strided`: at half of it, from a
   * first convolution of stride 2, which saves most of the time; the decoder's last convolution makes up for it.
   */
  readonly stem: 'full' | 'strided'
}

/** Ready options. */
export const vqPresets = {
  /** The first stage of class-conditional ImageNet latent diffusion, VQ-f4: 55,322,782 parameters. */
  f4: {
    channels: 3,
    baseChannels: 128,
    channelMult: [1, 2, 4],
    numResBlocks: 2,
    latentChannels: 3,
    codebookSize: 8192,
    groups: 32,
    midAttention: true,
    stem: 'full',
  },
  /** f = 4 for 32×32 grey images on a machine without a GPU: no residual block works at full resolution. */
  small: {
    channels: 1,
    baseChannels: 24,
    channelMult: [1, 2],
    numResBlocks: 1,
    latentChannels: 3,
    codebookSize: 256,
    groups: 8,
    midAttention: false,
    stem: 'strided',
  },
} as const satisfies Record<string, VqAutoencoderOptions>

/** Throws unless an autoencoder can be built. */
export function checkOptions(options: VqAutoencoderOptions): void {
  rejectUnknownOptions('vqAutoencoder', options, [
    'channels',
    'baseChannels',
    'channelMult',
    'numResBlocks',
    'latentChannels',
    'codebookSize',
    'groups',
    'midAttention',
    'stem',
  ])
  const { channels, baseChannels, numResBlocks, latentChannels, codebookSize, groups } = options
  const counts = { channels, baseChannels, numResBlocks, latentChannels, codebookSize, groups }
  positiveIntegers('vqAutoencoder', counts)
  const { channelMult, midAttention, stem } = options
  positiveIntegerList('vqAutoencoder', 'channelMult', channelMult)
  const widths = channelMult.map((m) => m * baseChannels)
  checkLevelWidths('vqAutoencoder', [baseChannels, ...widths], { groups })
  if (typeof midAttention !== 'boolean') {
    throw optionError(`vqAutoencoder: midAttention is ${midAttention}.`, 'Use true or false.')
  }
  if (stem !== 'full' && stem !== 'strided') {
    throw optionError(`vqAutoencoder: unknown stem '${stem}'.`, "Use 'full' or 'strided'.")
  }
}
