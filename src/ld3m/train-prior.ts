import { noGrad, scope, tensor } from '../autograd/index.ts'
import type { Dataset } from '../data/index.ts'
import type { Device } from '../gpu/index.ts'
import {
  disposeState,
  freeze,
  type HostTensor,
  loadStateDict,
  Params,
  readStateDict,
  type StateDict,
  type UnetOptions,
  unet,
  type VqAutoencoderOptions,
  vqAutoencoder,
} from '../models/index.ts'
import { imageBatch, toSigned } from './normalization.ts'
import { Prior } from './prior.ts'
import { type AutoencoderTraining, autoencoderTrainer } from './train-autoencoder.ts'
import { type DenoiserTraining, denoiserTrainer, EMBEDDING } from './train-denoiser.ts'
import type { Trainer, TrainProgress } from './trainer.ts'

/** A prior's architecture and how it is trained. */
export interface PriorRecipe {
  readonly name: string
  readonly autoencoder: VqAutoencoderOptions
  readonly denoiser: UnetOptions
  readonly autoencoderTraining: AutoencoderTraining
  readonly denoiserTraining: DenoiserTraining
}

export interface TrainPriorOptions {
  device: Device
  /** Training images of the size that the autoencoder takes. */
  dataset: Dataset
  recipe: PriorRecipe
  /** Default 0. */
  seed?: number
  /** Saved states to go on from, by stage. */
  resume?: { readonly autoencoder?: Uint8Array | undefined; readonly denoiser?: Uint8Array | undefined }
  signal?: AbortSignal
  /** Called every 20 steps of either stage; `save()` gives the state to resume from. */
  onProgress?: (progress: TrainProgress) => void | Promise<void>
}

export interface TrainedPrior {
  readonly prior: Prior
  /** Mean losses, one for each 20 steps. */
  readonly curves: { readonly autoencoder: readonly number[]; readonly denoiser: readonly number[] }
}

/**
 * Trains a prior on a dataset: first the autoencoder, then the denoiser on its latents. The same seed, data and adapter
 * give the same prior, also when resumed.
 */
export async function trainPrior(options: TrainPriorOptions): Promise<TrainedPrior> {
  const { device, dataset, recipe, seed = 0, resume = {}, signal, onProgress } = options
  const rest = { ...(onProgress ? { onProgress } : {}), ...(signal ? { signal } : {}) }

  const first = autoencoderTrainer(device, dataset, recipe.autoencoder, recipe.autoencoderTraining, seed, rest)
  await finish(first.trainer, resume.autoencoder)
  const autoencoderState = await frozenCopy(device, vqAutoencoder(recipe.autoencoder), first.trainer.result)
  const { latents, scale } = await encodeAll(device, dataset, recipe.autoencoder, autoencoderState)
  first.trainer.dispose()
  disposeState(first.state)

  const classes = dataset.classNames.length
  const training = recipe.denoiserTraining
  const second = denoiserTrainer(device, latents, dataset.labels, classes, recipe.denoiser, training, seed, rest)
  await finish(second.trainer, resume.denoiser)
  const { [EMBEDDING]: embedding, ...weights } = await readStateDict(second.trainer.result)
  second.trainer.dispose()
  disposeState(second.state)

  const { channels, height, width } = dataset
  const prior = new Prior(
    device,
    {
      name: recipe.name,
      classes,
      image: { channels, height, width },
      latentScale: scale,
      autoencoder: recipe.autoencoder,
      denoiser: recipe.denoiser,
    },
    autoencoderState,
    freeze(loadStateDict(device, unet(recipe.denoiser), weights)),
    tensor(device, (embedding as HostTensor).data, { shape: (embedding as HostTensor).shape }),
  )
  return { prior, curves: { autoencoder: first.trainer.curve, denoiser: second.trainer.curve } }
}

async function finish(trainer: Trainer, saved: Uint8Array | undefined): Promise<void> {
  if (saved) trainer.restore(saved)
  await trainer.run()
}

async function frozenCopy(
  device: Device,
  module: ReturnType<typeof vqAutoencoder>,
  state: StateDict,
): Promise<StateDict> {
  return freeze(loadStateDict(device, module, await readStateDict(state)))
}

/** Latents of the whole dataset, scaled to unit variance, and the scale. */
async function encodeAll(
  device: Device,
  dataset: Dataset,
  config: VqAutoencoderOptions,
  state: StateDict,
): Promise<{ latents: HostTensor; scale: number }> {
  const module = vqAutoencoder(config)
  const params = new Params(state)
  const parts: Float32Array[] = []
  let shape: readonly number[] = []
  const batch = 200
  for (let i = 0; i < dataset.count; i += batch) {
    const indices = Array.from({ length: Math.min(batch, dataset.count - i) }, (_, j) => i + j)
    const z = scope(() => noGrad(() => module.encode(params, toSigned(imageBatch(device, dataset, indices)))))
    shape = z.shape.slice(1)
    parts.push(await z.read())
    z.dispose()
  }
  const size = shape.reduce((a, b) => a * b, 1)
  const data = new Float32Array(dataset.count * size)
  for (const [i, part] of parts.entries()) data.set(part, i * batch * size)
  let sum = 0
  let squares = 0
  for (const v of data) {
    sum += v
    squares += v * v
  }
  const mean = sum / data.length
  const scale = 1 / Math.sqrt(squares / data.length - mean * mean)
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * scale
  return { latents: { shape: [dataset.count, ...shape], data }, scale }
}
