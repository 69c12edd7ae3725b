import type { DatasetInfo } from '../data/index.ts'
import { formatValue, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import { type AutoencoderOptions, autoencoder, unet, vqAutoencoder } from '../models/index.ts'
import { atLeastOne, positive, share } from './options.ts'
import type { DenoiserRecipe, PriorRecipe } from './prior-recipe.ts'
import type { AutoencoderTraining } from './train-autoencoder.ts'
import type { DenoiserTraining } from './train-denoiser.ts'

const WHERE = 'trainPrior'
const OF_DENOISER = ['name', 'denoiser', 'denoiserTraining']
const OF_AUTOENCODER = ['autoencoder', 'autoencoderTraining']
const TRAINING = ['steps', 'batch', 'learningRate']
const AVERAGED_TRAINING = [...TRAINING, 'emaDecay', 'conditionDropout']

type Images = Pick<DatasetInfo, 'channels' | 'height' | 'width'>

/**
 * Throws unless a recipe is whole, and its autoencoder and denoiser fit the images and each other: before hours of
 * training, not after.
 */
export function checkPriorRecipe(recipe: PriorRecipe, images: Images): void {
  rejectUnknownOptions(`${WHERE}: recipe`, recipe, [...OF_DENOISER, ...OF_AUTOENCODER])
  checkObject('recipe.autoencoder', recipe.autoencoder)
  vqAutoencoder(recipe.autoencoder)
  checkTraining('recipe.autoencoderTraining', recipe.autoencoderTraining, TRAINING)
  checkOfDenoiser(recipe)
  checkSizes(recipe.autoencoder, recipe, images)
}

/** The same for a recipe of a denoiser alone, on the latents of an autoencoder that is there. */
export function checkDenoiserRecipe(recipe: DenoiserRecipe, options: AutoencoderOptions, images: Images): void {
  rejectUnknownOptions(`${WHERE}: recipe`, recipe, OF_DENOISER)
  checkOfDenoiser(recipe)
  checkSizes(options, recipe, images)
}

function checkOfDenoiser({ name, denoiser, denoiserTraining }: DenoiserRecipe): void {
  if (typeof name !== 'string' || name === '') {
    throw optionError(`${WHERE}: recipe.name is ${formatValue(name)}.`, 'Use a text.')
  }
  checkObject('recipe.denoiser', denoiser)
  unet(denoiser)
  if (denoiser.contextDim === undefined) {
    throw optionError(`${WHERE}: recipe.denoiser has no contextDim.`, 'Give the length of a class embedding.')
  }
  checkTraining('recipe.denoiserTraining', denoiserTraining, AVERAGED_TRAINING)
  share(WHERE, 'recipe.denoiserTraining.emaDecay', denoiserTraining.emaDecay, '< 1')
  share(WHERE, 'recipe.denoiserTraining.conditionDropout', denoiserTraining.conditionDropout)
}

function checkTraining(name: string, training: AutoencoderTraining | DenoiserTraining, known: readonly string[]): void {
  rejectUnknownOptions(`${WHERE}: ${name}`, training, known)
  atLeastOne(WHERE, `${name}.steps`, training.steps)
  atLeastOne(WHERE, `${name}.batch`, training.batch)
  positive(WHERE, `${name}.learningRate`, training.learningRate)
}

/** Networks check their own options, if they are any. */
function checkObject(name: string, options: object): void {
  if (typeof options !== 'object' || options === null) {
    throw optionError(`${WHERE}: ${name} is ${formatValue(options)}.`, "Pass a network's options.")
  }
}

function checkSizes(
  options: AutoencoderOptions,
  { denoiser }: DenoiserRecipe,
  { channels, height, width }: Images,
): void {
  if (options.channels !== channels) {
    throw shapeError(
      `${WHERE}: the autoencoder takes ${options.channels} channels; the dataset has ${channels}.`,
      'Open the dataset with as many channels, or use another autoencoder.',
    )
  }
  if (denoiser.inChannels !== options.latentChannels) {
    throw shapeError(
      `${WHERE}: the denoiser has inChannels ${denoiser.inChannels}, the autoencoder latentChannels ` +
        `${options.latentChannels}.`,
      'Make them equal.',
    )
  }
  const unit = autoencoder(options).downsampling * 2 ** (denoiser.channelMult.length - 1)
  if (height % unit !== 0 || width % unit !== 0) {
    throw shapeError(
      `${WHERE}: autoencoder and denoiser halve images ${Math.log2(unit)} times; the dataset's are ${height}×${width}.`,
      `Use sides that ${unit} divides, or fewer levels.`,
    )
  }
}
