import * as v from 'valibot'
import { zeros } from '../autograd/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { type Checkpoint, toFloat32 } from '../io/index.ts'
import {
  autoencoder,
  disposeState,
  freeze,
  loadCheckpoint,
  type Module,
  type StateDict,
  unet,
} from '../models/index.ts'
import { ldmFfhq, ldmImageNet } from './presets.ts'
import { embeddingOf, PREFIX, Prior, type PriorConfig, priorParameters } from './prior.ts'
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
  const tensors = new Map([...checkpoint.tensors].filter(([name]) => !besideModel(name)))
  const prefixes = Object.values(PREFIX)
  const foreign = [...tensors.keys()].filter((name) => !prefixes.some((prefix) => name.startsWith(prefix)))
  if (foreign.length > 0) {
    throw dataError(
      `The prior's file has unexpected tensors: ${foreign.slice(0, 5).join(', ')}.`,
      `Expected the names ${prefixes.join('…, ')}….`,
    )
  }
  await checkSchedule(checkpoint)
  const loaded: StateDict[] = []
  const load = async (module: Pick<Module, 'parameters'>, prefix: string, as: 'f32' | 'f16') => {
    const source = { tensors, pieces: (name: string) => checkpoint.pieces(name) }
    const state = await loadCheckpoint(device, module, source, { prefix, dtype: as })
    const frozen = freeze(state)
    disposeState(state)
    loaded.push(frozen)
    return frozen
  }
  try {
    const ofAutoencoder = await load(autoencoder(config.autoencoder), PREFIX.autoencoder, dtype)
    const ofDenoiser = await load(unet(config.denoiser), PREFIX.denoiser, dtype)
    const { weight = zeros(device, [1, 0]) } = await load(embeddingOf(config), PREFIX.embedding, 'f32')
    return new Prior(device, config, ofAutoencoder, ofDenoiser, weight)
  } catch (error) {
    for (const state of loaded) disposeState(state)
    throw error
  }
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

/** Throws if the model was trained with another noise schedule than the one of this library. */
async function checkSchedule(checkpoint: Checkpoint): Promise<void> {
  const name = 'alphas_cumprod'
  if (!checkpoint.tensors.has(name)) return
  const given = toFloat32(await checkpoint.read(name))
  const differs = given.findIndex((a, t) => !(Math.abs(a - (alphasCumprod[t] ?? Number.NaN)) <= 1e-5))
  if (given.length === alphasCumprod.length && differs < 0) return
  const where = differs < 0 ? `has ${given.length} steps` : `has ${given[differs]} at step ${differs}`
  throw dataError(
    `The file's noise schedule, ${name}, ${where}; this library runs that of latent diffusion, with ` +
      `${alphasCumprod[Math.max(0, differs)]} there and ${alphasCumprod.length} steps.`,
    'Use a model of that schedule (linear_start 0.0015, linear_end 0.0195).',
  )
}

function configOf(checkpoint: Checkpoint, { config, size }: PriorOptions): PriorConfig {
  const stated = checkpoint.metadata.config
  if (config && (stated !== undefined || size !== undefined)) {
    const what = size !== undefined ? 'size' : "the file's own configuration"
    throw optionError(`priorFromCheckpoint: both config and ${what} are given.`, 'Leave config out.')
  }
  if (config) return config
  if (stated !== undefined) {
    const parsed = parseConfig(stated)
    if (size === undefined || size === parsed.image.height) return parsed
    throw optionError(
      `priorFromCheckpoint: size is ${size}; the file's prior makes images of ${parsed.image.height}×${parsed.image.width}.`,
      'Leave size out.',
    )
  }
  const options = size === undefined ? {} : { size }
  const published = [ldmImageNet, ldmFfhq].map((preset) => preset(options))
  const compared = published.map((preset) => ({ preset, ...compare(checkpoint, preset) }))
  const nearest = compared.reduce((a, b) => (b.share > a.share ? b : a))
  if (nearest.share === 1) return nearest.preset
  const but = nearest.share > 0.5 ? ` Nearest is ${nearest.preset.name}, but for ${nearest.differences}.` : ''
  throw dataError(
    `The file states no configuration in its metadata, and its tensors are those of no published model.${but}`,
    'Make the file with trainPrior (ld3m-gpu train-prior), or pass config to loadPrior.',
  )
}

/** Differences that a message tells at most. */
const SHOWN = 5

/** The share of a configuration's tensors that a checkpoint has in their shapes, and in words what is different. */
function compare(
  { tensors }: Pick<Checkpoint, 'tensors'>,
  config: PriorConfig,
): { share: number; differences: string } {
  const parameters = Object.entries(priorParameters(config))
  const different = parameters.flatMap(([name, { shape }]) => {
    const given = tensors.get(name)?.shape
    if (`${given}` === `${shape}`) return []
    return [given === undefined ? `${name}, which is missing` : `${name}, which is [${given}], not [${shape}]`]
  })
  const rest = different.length > SHOWN ? `; and ${different.length - SHOWN} more` : ''
  return {
    share: 1 - different.length / parameters.length,
    differences: different.slice(0, SHOWN).join('; ') + rest,
  }
}

const positive = v.pipe(v.number(), v.integer(), v.minValue(1))

const configSchema = v.object({
  name: v.string(),
  classes: v.pipe(v.number(), v.integer(), v.minValue(0)),
  image: v.object({ channels: positive, height: positive, width: positive }),
  latentScale: v.pipe(v.number(), v.finite(), v.gtValue(0)),
  // The modules check their own options.
  autoencoder: v.looseObject({ latentChannels: positive }),
  denoiser: v.looseObject({ contextDim: v.optional(positive) }),
})

function parseConfig(text: string): PriorConfig {
  const fix = 'Make the file with trainPrior.'
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw dataError('The "config" in the prior\'s metadata is not JSON.', fix, cause)
  }
  const result = v.safeParse(configSchema, json)
  if (!result.success) {
    const issues = result.issues.map((i) => `${v.getDotPath(i)}: ${i.message}`).join('; ')
    throw dataError(`The prior's configuration does not fit: ${issues}.`, fix)
  }
  const config = json as PriorConfig
  if ((config.classes === 0) !== (config.denoiser.contextDim === undefined)) {
    throw dataError(
      `The prior's configuration has ${config.classes} classes and a denoiser with contextDim ${config.denoiser.contextDim}.`,
      'Give both, or neither for an unconditional prior.',
    )
  }
  return config
}
