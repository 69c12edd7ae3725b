import { tensor } from '../autograd/index.ts'
import type { AnyDataset } from '../data/index.ts'
import { rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import {
  type AutoencoderOptions,
  autoencoder,
  disposeState,
  freeze,
  type HostTensor,
  loadStateDict,
  readStateDict,
  type StateDict,
  takeFrozen,
  unet,
} from '../models/index.ts'
import { counted } from '../words.ts'
import { checkDenoiserRecipe, checkPriorRecipe } from './check-prior-recipe.ts'
import { type EncodeProgress, encodeDataset } from './encode-dataset.ts'
import { seedOf } from './options.ts'
import { Prior } from './prior.ts'
import { type DenoiserRecipe, denoiserRecipe, type PriorRecipe, priorRecipe } from './prior-recipe.ts'
import { autoencoderTrainer } from './train-autoencoder.ts'
import { denoiserTrainer, EMBEDDING } from './train-denoiser.ts'
import { type Trainer, type TrainerHooks, TrainingStopped, type TrainProgress } from './trainer.ts'

/** An autoencoder with its parameters. */
export interface TrainedAutoencoder {
  readonly options: AutoencoderOptions
  readonly state: StateDict
}

interface TrainPriorCommon {
  device: Device
  /** Training images of the size that the prior shall have; a streamed dataset is read as it is needed. */
  dataset: AnyDataset
  /** Default 0. */
  seed?: number
  /** Saved states to go on from, by stage; and the latents that `onEncode` gave, so that their images are not encoded again. */
  resume?: {
    readonly autoencoder?: Uint8Array | undefined
    readonly latents?: readonly HostTensor[] | undefined
    readonly denoiser?: Uint8Array | undefined
  }
  /** Stops the training with an error that carries its state. */
  signal?: AbortSignal
  /** Called every 20 steps of either stage, at first every 5, and after the very first; `save()` gives the state to resume from. */
  onProgress?: (progress: TrainProgress) => void | Promise<void>
  /** Called between the stages, as images are encoded; also when the denoiser is resumed, of images without saved latents. */
  onEncode?: (progress: EncodeProgress) => void | Promise<void>
}

interface WithBoth {
  autoencoder?: never
  /** Default `priorRecipe(dataset)`. */
  recipe?: PriorRecipe
}

interface WithAutoencoder {
  /** Kept as it is: only a denoiser of its latents is trained. The prior shares the parameters' memory. */
  autoencoder: TrainedAutoencoder
  /** Default `denoiserRecipe(dataset, autoencoder.options)`. */
  recipe?: DenoiserRecipe
}

export type TrainPriorOptions = TrainPriorCommon & (WithBoth | WithAutoencoder)

const KNOWN = ['device', 'dataset', 'autoencoder', 'recipe', 'seed', 'resume', 'signal', 'onProgress', 'onEncode']

export interface TrainedPrior {
  readonly prior: Prior
  /** Mean losses, one for each 20 steps; none of an autoencoder that was there before. */
  readonly curves: { readonly autoencoder: readonly number[]; readonly denoiser: readonly number[] }
}

/** All that a training follows from but pixels and a given autoencoder's parameters, as plain data. */
export interface PriorTraining {
  readonly recipe: PriorRecipe | (DenoiserRecipe & { readonly autoencoder: AutoencoderOptions })
  readonly seed: number
  readonly dataset: Readonly<
    Pick<AnyDataset, 'name' | 'count' | 'channels' | 'height' | 'width'> & { classNames: readonly string[] }
  >
}

/**
 * What `trainPrior` would do with these options, defaults filled in.
 * @throws Ld3mError `option` for a recipe that is not whole or out of range; `option` or `shape` for parts that do not fit
 * the dataset or each other
 */
export function planPriorTraining(options: TrainPriorOptions): PriorTraining {
  rejectUnknownOptions('trainPrior', options, KNOWN)
  const { name, count, channels, height, width, classNames } = options.dataset
  return {
    recipe: plannedRecipe(options),
    seed: seedOf('trainPrior', options.seed ?? 0),
    dataset: { name, count, channels, height, width, classNames: [...classNames] },
  }
}

/** The recipe with what is given, checked. */
function plannedRecipe({ autoencoder: given, recipe, dataset }: TrainPriorOptions): PriorTraining['recipe'] {
  if (!given) {
    const whole = recipe ?? priorRecipe(dataset)
    checkPriorRecipe(whole, dataset)
    return whole
  }
  rejectUnknownOptions('trainPrior: autoencoder', given, ['options', 'state'])
  const own = recipe ?? denoiserRecipe(dataset, given.options)
  checkDenoiserRecipe(own, given.options, dataset)
  return { ...own, autoencoder: given.options }
}

/**
 * Trains a prior on a dataset: first a vector-quantised autoencoder, unless one is given, then a class-conditional
 * denoiser on its latents, which stay in memory (for RGB a quarter of the bytes of the images, or less, with the default
 * recipes). The same seed, data and adapter give the same prior, also when resumed.
 * @throws TrainingStopped if `signal` fires, with the state to resume from, if there is one yet
 * @throws Ld3mError `option`, `shape` or `data` for input that does not fit; `numeric` if a training diverges
 */
export async function trainPrior(options: TrainPriorOptions): Promise<TrainedPrior> {
  const training = planPriorTraining(options)
  const { device, dataset, resume = {}, signal, onProgress, onEncode } = options
  const { recipe, seed } = training
  const hooks = { onProgress, signal }

  const coder = options.autoencoder
    ? { state: freeze(options.autoencoder.state), curve: [], saved: undefined }
    : await trainAutoencoder(device, dataset, training as PriorTraining & { recipe: PriorRecipe }, resume, hooks)
  try {
    const given = { device, dataset, autoencoder: { options: recipe.autoencoder, state: coder.state } }
    const { latents, scale } = await encodeDataset(
      { ...given, encoded: resume.latents, signal, onEncode },
      (encoded) => {
        const what = `denoiser: aborted when ${encoded.toLocaleString('en-US')} of ${counted(dataset.count, 'image')} were encoded.`
        if (coder.saved) return new TrainingStopped(what, 'autoencoder', coder.saved)
        return new TrainingStopped(what, 'denoiser', resume.denoiser)
      },
    )
    const second = denoiserTrainer(
      ...([device, latents, dataset.labels, dataset.classNames.length, recipe.denoiser] as const),
      ...([recipe.denoiserTraining, seed, { ...hooks, recipe: training }] as const),
    )
    let weights: Awaited<ReturnType<typeof readStateDict>>
    try {
      await finish(second.trainer, resume.denoiser)
      weights = await readStateDict(second.trainer.result)
    } finally {
      second.trainer.dispose()
      disposeState(second.state)
    }
    const { [EMBEDDING]: embedding, ...denoiser } = weights
    const { name, classNames, channels, height, width } = { ...dataset, name: recipe.name }
    const ofData = { classes: classNames.length, classNames: [...classNames], image: { channels, height, width } }
    const config = { name, ...ofData, latentScale: scale }
    const prior = new Prior(
      device,
      { ...config, autoencoder: recipe.autoencoder, denoiser: recipe.denoiser },
      coder.state,
      takeFrozen(loadStateDict(device, unet(recipe.denoiser), denoiser)),
      tensor(device, (embedding as HostTensor).data, { shape: (embedding as HostTensor).shape }),
    )
    return { prior, curves: { autoencoder: coder.curve, denoiser: second.trainer.curve } }
  } catch (error) {
    disposeState(coder.state)
    throw error
  }
}

/** A trained autoencoder's frozen parameters. */
async function trainAutoencoder(
  device: Device,
  dataset: AnyDataset,
  training: PriorTraining & { readonly recipe: PriorRecipe },
  resume: NonNullable<TrainPriorOptions['resume']>,
  hooks: TrainerHooks,
): Promise<{ state: StateDict; curve: readonly number[]; saved: Uint8Array }> {
  const { recipe, seed } = training
  const { denoiser: _denoiser, denoiserTraining: _training, ...own } = recipe
  const { trainer, state } = autoencoderTrainer(
    ...([device, dataset, recipe.autoencoder, recipe.autoencoderTraining, seed] as const),
    { ...hooks, recipe: { ...training, recipe: own } },
  )
  try {
    await finish(trainer, resume.autoencoder)
    const weights = await readStateDict(trainer.result)
    const frozen = takeFrozen(loadStateDict(device, autoencoder(recipe.autoencoder), weights))
    return { state: frozen, curve: trainer.curve, saved: await trainer.save() }
  } finally {
    trainer.dispose()
    disposeState(state)
  }
}

async function finish<B>(trainer: Trainer<B>, saved: Uint8Array | undefined): Promise<void> {
  if (saved) trainer.restore(saved)
  await trainer.run()
}
