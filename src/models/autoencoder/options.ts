import { optionError, rejectUnknownOptions } from '../../errors.ts'
import { checkLevelWidths, positiveIntegerList, positiveIntegers } from '../options.ts'

/** What latent diffusion's autoencoders have in common: an encoder and a decoder of residual blocks. */
export interface CoderOptions {
  /** Colour channels of the images. */
  readonly channels: number
  /** Channels of the highest level. */
  readonly baseChannels: number
  /** Channels of each level, as multiples of baseChannels; each level after the first halves the map. */
  readonly channelMult: readonly number[]
  /** Residual blocks of an encoder level; a decoder level has one more. */
  readonly numResBlocks: number
  /** Channels of a latent; with a codebook, the length of a code. */
  readonly latentChannels: number
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

export interface VqAutoencoderOptions extends CoderOptions {
  /** Latents are rounded to codes. The default of `kind`. */
  readonly kind?: 'vq'
  readonly codebookSize: number
}

export interface KlAutoencoderOptions extends CoderOptions {
  /** Latents have a normal distribution each. */
  readonly kind: 'kl'
}

export interface TinyAutoencoderOptions {
  /** A distilled stand-in for a larger autoencoder. */
  readonly kind: 'tiny'
  /** Colour channels of the images. */
  readonly channels: number
  readonly latentChannels: number
  /** Channels of every map between them. */
  readonly width: number
  /** Times that the map is halved. */
  readonly stages: number
  /** Blocks after each change of size; one at the images' resolution. */
  readonly blocks: number
  /** Whether blocks at the latents' resolution begin with a normalised layer over all positions. */
  readonly globalNorm: boolean
}

export type AutoencoderOptions = VqAutoencoderOptions | KlAutoencoderOptions | TinyAutoencoderOptions

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

/** Ready options. */
export const klPresets = {
  /** The first stage of Stable Diffusion 1 and 2, KL-f8: 83,653,863 parameters; its latents are scaled by 0.18215. */
  f8: {
    kind: 'kl',
    channels: 3,
    baseChannels: 128,
    channelMult: [1, 2, 4, 4],
    numResBlocks: 2,
    latentChannels: 4,
    groups: 32,
    midAttention: true,
    stem: 'full',
  },
} as const satisfies Record<string, KlAutoencoderOptions>

const tiny = { kind: 'tiny', channels: 3, width: 64, stages: 3, blocks: 3 } as const

/** Ready options: the files of these names at github.com/madebyollin/taesd. */
export const tinyPresets = {
  /** For latents of Stable Diffusion 1, 2 and XL: f = 8, 2,445,063 parameters. */
  taesd: { ...tiny, latentChannels: 4, globalNorm: false },
  /** For latents of Stable Diffusion 3 and FLUX.1. */
  taef1: { ...tiny, latentChannels: 16, globalNorm: false },
  /** For latents of FLUX.2. */
  taef2: { ...tiny, latentChannels: 32, globalNorm: true },
} as const satisfies Record<string, TinyAutoencoderOptions>

const CODER = [
  ...['kind', 'channels', 'baseChannels', 'channelMult', 'numResBlocks'],
  ...['latentChannels', 'groups', 'midAttention', 'stem'],
]

/** Throws unless an encoder and a decoder can be built. `counts` are further options, numbers of something. */
export function checkCoderOptions(
  where: string,
  options: CoderOptions,
  counts: Readonly<Record<string, number>>,
): void {
  rejectUnknownOptions(where, options, [...CODER, ...Object.keys(counts)])
  const { channels, baseChannels, numResBlocks, latentChannels, groups } = options
  positiveIntegers(where, { channels, baseChannels, numResBlocks, latentChannels, groups, ...counts })
  const { channelMult, midAttention, stem } = options
  positiveIntegerList(where, 'channelMult', channelMult)
  const widths = channelMult.map((m) => m * baseChannels)
  checkLevelWidths(where, [baseChannels, ...widths], { groups })
  boolean(where, { midAttention })
  if (stem !== 'full' && stem !== 'strided') {
    throw optionError(`${where}: unknown stem '${stem}'.`, "Use 'full' or 'strided'.")
  }
}

/** Throws unless a tiny autoencoder can be built. */
export function checkTinyOptions(where: string, options: TinyAutoencoderOptions): void {
  const { kind: _, globalNorm, ...counts } = options
  const known = ['channels', 'latentChannels', 'width', 'stages', 'blocks']
  rejectUnknownOptions(where, options, ['kind', 'globalNorm', ...known])
  positiveIntegers(where, Object.fromEntries(known.map((name) => [name, counts[name as keyof typeof counts]])))
  boolean(where, { globalNorm })
}

function boolean(where: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (typeof value !== 'boolean') throw optionError(`${where}: ${name} is ${value}.`, 'Use true or false.')
  }
}
