import { ops, type Tensor } from '../autograd/index.ts'
import { shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { checksum, type StoredTensor, toHalfBits, writeSafetensors } from '../io/index.ts'
import {
  type Autoencoder,
  type AutoencoderOptions,
  autoencoder,
  disposeState,
  embedding,
  type HostTensor,
  type Module,
  type ParameterSpec,
  Params,
  readStateDict,
  type StateDict,
  type Unet,
  type UnetOptions,
  unet,
} from '../models/index.ts'
import { type SampleOptions, sample } from './sample.ts'

/** What a prior is made of; stored as JSON in the metadata of its safetensors file. */
export interface PriorConfig {
  readonly name: string
  /** Number of classes; the embedding table has one more row, for "no class". 0 for an unconditional denoiser. */
  readonly classes: number
  /** Their names by id, where they are known: those of the dataset that the prior was trained on. */
  readonly classNames?: readonly string[]
  /** Images the autoencoder takes, in [−1, 1]. */
  readonly image: { readonly channels: number; readonly height: number; readonly width: number }
  /** Latents are multiplied by this before diffusion, so that their variance is 1. */
  readonly latentScale: number
  readonly autoencoder: AutoencoderOptions
  readonly denoiser: UnetOptions
}

/** The name prefixes of latent diffusion's checkpoints. */
export const PREFIX = {
  autoencoder: 'first_stage_model.',
  denoiser: 'model.diffusion_model.',
  embedding: 'cond_stage_model.embedding.',
} as const

/**
 * Shape and type of every tensor of a prior by its name: those of latent diffusion's checkpoints, without the buffers of
 * their schedules.
 */
export function priorParameters(config: PriorConfig): Record<string, ParameterSpec> {
  const { denoiser } = config
  const under = (prefix: string, { parameters }: Pick<Module, 'parameters'>) =>
    Object.entries(parameters).map(([name, spec]) => [prefix + name, spec] as const)
  return Object.fromEntries([
    ...under(PREFIX.denoiser, unet(denoiser)),
    ...under(PREFIX.autoencoder, autoencoder(config.autoencoder)),
    ...under(PREFIX.embedding, embeddingOf(config)),
  ])
}

/** The table of class embeddings: without parameters for an unconditional prior. */
const embeddingOf = ({ classes, denoiser: { contextDim } }: PriorConfig): Pick<Module, 'parameters'> =>
  contextDim === undefined ? { parameters: {} } : embedding(classes + 1, contextDim)

/** A frozen latent diffusion model: an autoencoder, a denoiser of its latents, a class embedding. */
export class Prior {
  readonly autoencoder: Autoencoder
  readonly denoiser: Unet
  readonly #recomputedDenoiser: Unet
  readonly #autoencoderParams: Params
  readonly #denoiserParams: Params
  #weights: Promise<string> | undefined

  constructor(
    readonly device: Device,
    readonly config: PriorConfig,
    readonly autoencoderState: StateDict,
    readonly denoiserState: StateDict,
    /** [classes + 1, contextDim]; the last row stands for "no class". [1, 0] for an unconditional denoiser. */
    readonly embedding: Tensor,
  ) {
    this.autoencoder = autoencoder(config.autoencoder)
    this.denoiser = unet(config.denoiser)
    this.#recomputedDenoiser = unet(config.denoiser, { checkpoint: true })
    this.#autoencoderParams = new Params(autoencoderState)
    this.#denoiserParams = new Params(denoiserState)
  }

  /** Shape [C, H, W] of one image's latent. */
  get latentShape(): readonly [number, number, number] {
    const { image, autoencoder } = this.config
    const f = this.autoencoder.downsampling
    return [autoencoder.latentChannels, image.height / f, image.width / f]
  }

  /** Images [N, C, H, W] in [−1, 1] to latents before quantisation, [N, c, h, w]. */
  encode(images: Tensor): Tensor {
    const { channels, height, width } = this.config.image
    const [, c, h, w] = images.shape
    if (images.rank !== 4 || c !== channels || h !== height || w !== width) {
      throw shapeError(
        `This prior encodes images of [N, ${channels}, ${height}, ${width}]; got [${images.shape}].`,
        'Resize or pad the images, or load a prior that was trained on this size.',
      )
    }
    return this.autoencoder.encode(this.#autoencoderParams, images)
  }

  /**
   * The nearest codebook entries to z: [N, c, h, w], with the straight-through gradient; z where the autoencoder has no
   * codebook.
   */
  quantize(z: Tensor): Tensor {
    const { autoencoder } = this
    return autoencoder.kind === 'vq' ? autoencoder.quantize(this.#autoencoderParams, z).quantized : z.alias()
  }

  /** Latents [N, c, h, w] through the quantiser and the decoder to images [N, C, H, W], about in [−1, 1]. */
  decode(z: Tensor): Tensor {
    return this.autoencoder.decode(this.#autoencoderParams, this.quantize(z))
  }

  /** Whether the denoiser looks at conditionings; an unconditional one has them too, of length 0. */
  get conditional(): boolean {
    return this.config.denoiser.contextDim !== undefined
  }

  /**
   * Predicted noise for scaled latents z: [N, c, h, w] at timesteps [N] under conditionings [N, contextDim]. With
   * `checkpoint`, only what enters each of the denoiser's blocks is kept for the backward pass.
   */
  denoise(z: Tensor, timestep: Tensor, conditioning: Tensor, { checkpoint = false } = {}): Tensor {
    const [n, d] = conditioning.shape as [number, number]
    const denoiser = checkpoint ? this.#recomputedDenoiser : this.denoiser
    if (!this.conditional) return denoiser.apply(this.#denoiserParams, z, timestep)
    return denoiser.apply(this.#denoiserParams, z, timestep, ops.reshape(conditioning, [n, 1, d]))
  }

  /** Embedding rows [N, contextDim] of class ids; the id `config.classes` stands for "no class". */
  conditioning(classIds: Tensor): Tensor {
    return ops.gather(this.embedding, classIds)
  }

  /** Images drawn from noise, [count, C, H, W] in [0, 1]; see `SampleOptions`. */
  sample(options: SampleOptions = {}): Promise<HostTensor> {
    return sample(this, options)
  }

  /**
   * What tells priors apart: the configuration, and a checksum of all weights in the place of the names. The weights are
   * read back once, tensor by tensor.
   */
  async identity(): Promise<Readonly<Record<string, unknown>>> {
    const { name: _name, classNames: _classNames, ...config } = this.config
    this.#weights ??= checksum(this.#readWeights())
    return { ...config, weights: await this.#weights }
  }

  async *#readWeights(): AsyncIterable<ArrayBufferView> {
    for (const state of [this.autoencoderState, this.denoiserState]) {
      for (const name of Object.keys(state).sort()) yield await (state[name] as Tensor).read()
    }
    if (this.conditional) yield await this.embedding.read()
  }

  /** The file's bytes: tensors under latent diffusion's names, in their types, the configuration as metadata. */
  async toSafetensors(): Promise<Uint8Array> {
    const tensors = new Map<string, StoredTensor>()
    const put = async (prefix: string, state: StateDict) => {
      for (const [name, { shape, data }] of Object.entries(await readStateDict(state))) {
        const half = state[name]?.dtype === 'f16'
        const stored = half ? ({ dtype: 'F16', data: toHalfBits(data) } as const) : ({ dtype: 'F32', data } as const)
        tensors.set(prefix + name, { ...stored, shape })
      }
    }
    await put(PREFIX.autoencoder, this.autoencoderState)
    await put(PREFIX.denoiser, this.denoiserState)
    if (this.conditional) await put(PREFIX.embedding, { weight: this.embedding })
    return writeSafetensors(tensors, { config: JSON.stringify(this.config) })
  }

  /** Frees the prior's tensors. */
  dispose(): void {
    disposeState(this.autoencoderState)
    disposeState(this.denoiserState)
    this.embedding.dispose()
  }
}
