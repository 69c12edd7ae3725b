import { zeros } from '../autograd/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { type Checkpoint, type Dtype, toFloat32 } from '../io/index.ts'
import { loadCheckpoint, type StateDict, takeFrozen } from '../models/index.ts'
import { PREFIX, Prior, type PriorConfig, priorParameters } from './prior.ts'
import { givenConfig, parsePriorConfig, publishedConfig } from './prior-config.ts'
import { alphasCumprod } from './schedule.ts'

export interface PriorOptions {
  /** `f16`: weights of convolutions and linear layers take half the memory. Default f32. */
  dtype?: 'f32' | 'f16'
  /**
   * What the file's model is, where it does not say so itself: files of `trainPrior` do, and the published latent diffusion
   * models of ImageNet and FFHQ are known by their tensors.
   */
  config?: PriorConfig
  /** Side of the images, for a published model: a multiple of 32. Default 256. */
  size?: number
}

/**
 * Loads a prior, frozen, tensor by tensor: one that `trainPrior` saved, a published latent diffusion model, or any whose
 * configuration is given. The caller closes the checkpoint.
 * @throws Ld3mError `data` if the checkpoint is damaged or is no prior; `shape` if tensors are missing, unexpected or
 * misshapen; `option` for a configuration that the file contradicts; `adapter` for f16 where the adapter has no half
 * precision
 */
export async function priorFromCheckpoint(
  device: Device,
  checkpoint: Checkpoint,
  options: PriorOptions = {},
): Promise<Prior> {
  rejectUnknownOptions('priorFromCheckpoint', options, ['dtype', 'config', 'size'])
  const { dtype = 'f32' } = options
  const config = configOf(checkpoint, options)
  await checkSchedule(checkpoint)
  await checkScale(checkpoint, config)
  const tensors = new Map([...checkpoint.tensors].filter(([name]) => !besideModel(name)))
  const pieces = (name: string) => checkpoint.pieces(name)
  const parameters = priorParameters(config)
  const loaded = await loadCheckpoint(device, { parameters }, { tensors, pieces }, { dtype })
  const frozen = Object.entries(takeFrozen(loaded))
  const under = (prefix: string): StateDict =>
    Object.fromEntries(
      frozen.flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [])),
    )
  const { weight = zeros(device, [1, 0]) } = under(PREFIX.embedding)
  return new Prior(device, config, under(PREFIX.autoencoder), under(PREFIX.denoiser), weight)
}

/** Buffers of the noise schedule that latent diffusion's checkpoints hold. */
const SCHEDULE = new Set([
  ...['betas', 'alphas_cumprod', 'alphas_cumprod_prev', 'sqrt_alphas_cumprod', 'sqrt_one_minus_alphas_cumprod'],
  ...['log_one_minus_alphas_cumprod', 'sqrt_recip_alphas_cumprod', 'sqrt_recipm1_alphas_cumprod'],
  ...['posterior_variance', 'posterior_log_variance_clipped', 'posterior_mean_coef1', 'posterior_mean_coef2'],
  ...['logvar', 'scale_factor'],
])

/** Whether a checkpoint of latent diffusion holds this beside the model: the schedule, averages, weights of losses. */
const besideModel = (name: string): boolean =>
  SCHEDULE.has(name) || name.startsWith('model_ema.') || name.startsWith(`${PREFIX.autoencoder}loss.`)

/** Half the distance between neighbouring numbers, relative to them, for dtypes whose rounding counts here. */
const ROUNDING: Readonly<Record<string, number>> = { F16: 2 ** -11, BF16: 2 ** -8 }

/** Whether a number of a file stands for `expected`, as its dtype and the training's f32 arithmetic round it. */
const standsFor = (given: number, expected: number, dtype: Dtype): boolean =>
  Math.abs(given - expected) <= 1e-5 + (ROUNDING[dtype] ?? 0) * expected

/** Throws if the model was trained with another noise schedule than the one of this library. */
async function checkSchedule(checkpoint: Checkpoint): Promise<void> {
  const name = 'alphas_cumprod'
  const info = checkpoint.tensors.get(name)
  if (!info) return
  const steps = alphasCumprod.length
  const fail = (where: string, here: string) =>
    dataError(
      `The file's noise schedule, ${name}, ${where}; this library runs that of latent diffusion, with ${here}.`,
      'Use a model of that schedule (linear_start 0.0015, linear_end 0.0195).',
    )
  if (`${info.shape}` !== `${steps}`) throw fail(`is [${info.shape}]`, `${steps} steps`)
  const given = toFloat32(await checkpoint.read(name))
  const differs = given.findIndex((a, t) => !standsFor(a, alphasCumprod[t] as number, info.dtype))
  if (differs >= 0) throw fail(`has ${given[differs]} at step ${differs}`, `${alphasCumprod[differs]} there`)
}

/** Throws if the model's latents are scaled otherwise than the configuration says. */
async function checkScale(checkpoint: Checkpoint, { latentScale }: PriorConfig): Promise<void> {
  const name = 'scale_factor'
  const info = checkpoint.tensors.get(name)
  if (!info) return
  const given = info.shape.every((size) => size === 1) ? toFloat32(await checkpoint.read(name))[0] : undefined
  if (given !== undefined && standsFor(given, latentScale, info.dtype)) return
  throw dataError(
    `The file's ${name} is ${given ?? `of shape [${info.shape}]`}, and the configuration's latentScale ${latentScale}.`,
    'Pass config with the latentScale that the model was trained with.',
  )
}

function configOf(checkpoint: Checkpoint, { config, size }: PriorOptions): PriorConfig {
  const stated = checkpoint.metadata.config
  if (config && (stated !== undefined || size !== undefined)) {
    const what = size !== undefined ? 'size' : "the file's own configuration"
    throw optionError(`priorFromCheckpoint: both config and ${what} are given.`, 'Leave config out.')
  }
  if (config) return givenConfig(config)
  if (stated !== undefined) {
    const parsed = parsePriorConfig(stated)
    if (size === undefined || size === parsed.image.height) return parsed
    throw optionError(
      `priorFromCheckpoint: size is ${size}; the file's prior makes images of ${parsed.image.height}×${parsed.image.width}.`,
      'Leave size out.',
    )
  }
  return publishedConfig(checkpoint.tensors, size)
}
