import { expectShape, ops, scope, type Tensor } from '../../autograd/index.ts'
import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import { conv2d, groupNorm, linear, recomputed, sequential, silu } from '../layers.ts'
import { childParameters, type Module } from '../module.ts'
import { checkLevelWidths, positiveIntegerList, positiveIntegers } from '../options.ts'
import { attentionBlock } from './attention.ts'
import { downsample, residualBlock, type UnetLayer, upsample } from './residual.ts'
import { timestepEmbedding } from './timestep.ts'
import { spatialTransformer } from './transformer.ts'

export interface UnetOptions {
  /** Channels of the latents, in and out. */
  readonly inChannels: number
  /** Channels of the first level. */
  readonly modelChannels: number
  /** Channels of each level, as multiples of modelChannels; each level after the first halves the map. */
  readonly channelMult: readonly number[]
  /** Residual blocks of a level on the way down; one more on the way up. */
  readonly numResBlocks: number
  /** Levels (from 0) whose blocks are followed by attention. The middle always has it. */
  readonly attentionLevels: readonly number[]
  /**
   * Length of a context vector, which transformers attend to. Without it the UNet is unconditional: attention blocks in
   * place of transformers.
   */
  readonly contextDim?: number
  /** Attention heads of every level; or else headChannels. */
  readonly numHeads?: number
  /** Channels of an attention head; or else numHeads. */
  readonly headChannels?: number
  /** Groups of every group norm. */
  readonly groups: number
  /** Length of the time embedding. Default 4·modelChannels. */
  readonly timeEmbedDim?: number
}

/** Ready options. */
export const unetPresets = {
  /** Class-conditional ImageNet latent diffusion (cin256-v2): 400,920,579 parameters. */
  cin256: {
    inChannels: 3,
    modelChannels: 192,
    channelMult: [1, 2, 3, 5],
    numResBlocks: 2,
    attentionLevels: [1, 2, 3],
    contextDim: 512,
    numHeads: 1,
    groups: 32,
  },
  /** Unconditional latent diffusion of faces (ffhq-ldm-vq-4): 274,056,163 parameters. */
  ffhq: {
    inChannels: 3,
    modelChannels: 224,
    channelMult: [1, 2, 3, 4],
    numResBlocks: 2,
    attentionLevels: [1, 2, 3],
    headChannels: 32,
    groups: 32,
  },
  /** For 3×8×8 latents on a machine without a GPU: 599,811 parameters, 13 million multiplications for one latent. */
  small: {
    inChannels: 3,
    modelChannels: 24,
    channelMult: [1, 2],
    numResBlocks: 1,
    attentionLevels: [0, 1],
    contextDim: 32,
    numHeads: 1,
    groups: 8,
  },
} as const satisfies Record<string, UnetOptions>

/**
 * Predicts the noise in z: [N, inChannels, H, W] at timestep: f32 [N], given context: [N, L, contextDim] unless it is
 * unconditional.
 */
export interface Unet extends Module<[z: Tensor, timestep: Tensor, context?: Tensor]> {
  readonly options: UnetOptions
}

/** How a UNet is applied; not a part of what it is. */
export interface UnetRunOptions {
  /**
   * Keep what enters each block, and compute the block again in the backward pass. For frozen parameters: no gradients
   * reach them. Default false.
   */
  readonly checkpoint?: boolean
}

/** Layers one after the other, all given the time embedding and the context. */
type Block = Readonly<Record<string, UnetLayer>> | readonly UnetLayer[]

/**
 * The noise-prediction UNet of latent diffusion (Rombach et al., 2022) with its state-dict names: residual blocks with
 * the time embedding added, transformers that attend to the map itself and to the context (or attention blocks), skip
 * connections by concatenation.
 */
export function unet(options: UnetOptions, run: UnetRunOptions = {}): Unet {
  checkOptions(options)
  rejectUnknownOptions('unet', run, ['checkpoint'])
  const { inChannels, modelChannels, channelMult, numResBlocks, attentionLevels, contextDim, groups } = options
  const timeEmbedDim = options.timeEmbedDim ?? 4 * modelChannels
  const residual = (from: number, to: number) => residualBlock(from, to, timeEmbedDim, groups)
  const attention = (channels: number) => {
    const heads = headsOf(options, channels)
    return contextDim === undefined
      ? attentionBlock(channels, heads, groups)
      : spatialTransformer(channels, contextDim, heads, groups)
  }
  const levels = channelMult.map((m) => m * modelChannels)
  const last = levels.length - 1

  let channels = modelChannels
  const inputs: Block[] = [{ 0: conv2d(inChannels, channels, { kernel: 3, padding: 1 }) }]
  const skips = [channels]
  for (const [level, width] of levels.entries()) {
    for (let i = 0; i < numResBlocks; i++) {
      inputs.push({
        0: residual(channels, width),
        ...(attentionLevels.includes(level) ? { 1: attention(width) } : {}),
      })
      skips.push((channels = width))
    }
    if (level < last) {
      inputs.push({ 0: downsample(channels) })
      skips.push(channels)
    }
  }
  const middle: Block = { 0: residual(channels, channels), 1: attention(channels), 2: residual(channels, channels) }
  const outputs: Block[] = []
  for (let level = last; level >= 0; level--) {
    const width = levels[level] as number
    for (let i = 0; i <= numResBlocks; i++) {
      const layers = [residual(channels + (skips.pop() as number), width)]
      channels = width
      if (attentionLevels.includes(level)) layers.push(attention(width))
      if (level > 0 && i === numResBlocks) layers.push(upsample(width))
      outputs.push(layers)
    }
  }

  const sequence = (block: Block): UnetLayer => {
    const layers = sequential<[Tensor, Tensor | undefined]>(block)
    return run.checkpoint ? recomputed(layers) : layers
  }
  const inputBlocks = inputs.map(sequence)
  const outputBlocks = outputs.map(sequence)
  const timeEmbed = sequential([linear(modelChannels, timeEmbedDim), silu, linear(timeEmbedDim, timeEmbedDim)])
  const middleBlock = sequence(middle)
  const out = sequential({
    0: groupNorm(groups, channels, { activation: 'silu' }),
    2: conv2d(channels, inChannels, { kernel: 3, padding: 1, zeroInit: true }),
  })
  const parameters = childParameters({
    time_embed: timeEmbed,
    input_blocks: { parameters: childParameters(inputBlocks) },
    middle_block: middleBlock,
    output_blocks: { parameters: childParameters(outputBlocks) },
    out,
  })

  return {
    options,
    parameters,
    apply(params, z, timestep, context) {
      checkInputs(options, z, timestep, context)
      return scope(() => {
        const sinusoids = timestepEmbedding(timestep, modelChannels)
        const embedding = ops.silu(timeEmbed.apply(params.child('time_embed'), sinusoids))
        const inputParams = params.child('input_blocks')
        const kept: Tensor[] = []
        let h = z
        for (const [i, block] of inputBlocks.entries()) {
          h = block.apply(inputParams.child(String(i)), h, embedding, context)
          kept.push(h)
        }
        h = middleBlock.apply(params.child('middle_block'), h, embedding, context)
        const outputParams = params.child('output_blocks')
        for (const [i, block] of outputBlocks.entries()) {
          const skip = kept.pop() as Tensor
          const joined = ops.concat([h, skip], 1)
          // What no graph saved is freed now, not at the end: the maps of all levels are many times the parameters.
          h.dispose()
          skip.dispose()
          h = block.apply(outputParams.child(String(i)), joined, embedding, context)
          joined.dispose()
        }
        return out.apply(params.child('out'), h)
      })
    },
  }
}

/** Attention heads of a map with the given channels. */
const headsOf = ({ numHeads, headChannels }: UnetOptions, channels: number): number =>
  numHeads ?? channels / (headChannels as number)

const COUNTS = ['inChannels', 'modelChannels', 'numResBlocks', 'groups'] as const
const OPTIONAL_COUNTS = ['contextDim', 'numHeads', 'headChannels', 'timeEmbedDim'] as const

function checkOptions(options: UnetOptions): void {
  rejectUnknownOptions('unet', options, [...COUNTS, ...OPTIONAL_COUNTS, 'channelMult', 'attentionLevels'])
  const given = OPTIONAL_COUNTS.filter((name) => options[name] !== undefined)
  positiveIntegers('unet', Object.fromEntries([...COUNTS, ...given].map((name) => [name, options[name]])))
  const { channelMult, attentionLevels, modelChannels, groups, numHeads, headChannels } = options
  positiveIntegerList('unet', 'channelMult', channelMult)
  if (!Array.isArray(attentionLevels)) {
    throw optionError(`unet: attentionLevels is ${attentionLevels}.`, 'Give a list of levels; [] for none.')
  }
  for (const level of attentionLevels) {
    if (channelMult[level] === undefined) {
      throw optionError(`unet: attention level ${level} is not a level.`, `Levels are 0 to ${channelMult.length - 1}.`)
    }
  }
  if ((numHeads === undefined) === (headChannels === undefined)) {
    throw optionError(
      `unet: numHeads is ${numHeads} and headChannels ${headChannels}.`,
      'Give one of them: the number of attention heads, or the channels of each.',
    )
  }
  const widths = channelMult.map((m) => m * modelChannels)
  const heads = numHeads === undefined ? { 'channels a head': headChannels as number } : { heads: numHeads }
  checkLevelWidths('unet', [modelChannels, ...widths], { groups, ...heads })
  if (modelChannels % 2 !== 0) {
    throw optionError(`unet: modelChannels is ${modelChannels}.`, 'Use an even number: half sines, half cosines.')
  }
}

function checkInputs(
  { inChannels, contextDim, channelMult }: UnetOptions,
  z: Tensor,
  t: Tensor,
  context: Tensor | undefined,
): void {
  expectShape('unet: z', z.shape, ['N', inChannels, 'H', 'W'])
  const [n, , h, w] = z.shape as [number, number, number, number]
  expectShape('unet: timestep', t.shape, [n])
  if (contextDim === undefined) {
    if (context) throw shapeError('unet: there is a context, but the UNet is unconditional.', 'Leave it out.')
  } else if (!context) {
    throw shapeError('unet: the context is missing.', `Give a tensor [${n}, L, ${contextDim}].`)
  } else expectShape('unet: context', context.shape, [n, 'L', contextDim])
  const factor = 2 ** (channelMult.length - 1)
  if (h % factor !== 0 || w % factor !== 0) {
    throw shapeError(`unet: z is ${h}×${w}; both must be multiples of ${factor}.`, 'Pad the latents.')
  }
}
