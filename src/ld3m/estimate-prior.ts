import { planMemory } from '../autograd/index.ts'
import { readImages, toUnit } from '../data/index.ts'
import { rejectUnknownOptions } from '../errors.ts'
import { autoencoder, disposeState, initialize, Params, type StateDict, takeFrozen } from '../models/index.ts'
import { encodeBatch, encodedAtOnce } from './encode-dataset.ts'
import { atLeastOne } from './options.ts'
import type { PriorRecipe } from './prior-recipe.ts'
import { autoencoderTrainer } from './train-autoencoder.ts'
import { denoiserTrainer } from './train-denoiser.ts'
import { type PriorTraining, planPriorTraining, type TrainPriorOptions } from './train-prior.ts'
import type { Trainer, TrainerHooks } from './trainer.ts'

/** What the training of a prior would need, measured. */
export interface PriorEstimate {
  /** The most GPU bytes in use at once, what was in use before included. */
  readonly peakBytes: number
  /** What is to be trained, in order. */
  readonly stages: readonly { readonly stage: string; readonly steps: number; readonly secondsPerStep: number }[]
  /** Of encoding all images between the stages. */
  readonly encodingSeconds: number
  /** Of the whole training. */
  readonly seconds: number
}

/**
 * The memory that `trainPrior` would need with these options, from its first step on, and its time, by a trial: of each
 * stage the first step, which compiles kernels, and `timed` more, whose mean is the estimate; of encoding, two batches. The
 * denoiser is tried on latents of an untrained autoencoder, which take as long. Saved states are left out, the losses of up to
 * twenty steps, which are a few kilobytes, and what callbacks do. Nothing of the trial is kept.
 * @throws Ld3mError as `trainPrior` does; `memory` if a tensor is larger than the adapter binds
 */
export async function estimateTrainPrior(
  options: TrainPriorOptions,
  trial: { readonly timed?: number } = {},
): Promise<PriorEstimate> {
  rejectUnknownOptions('estimateTrainPrior', trial, ['timed'])
  const { timed = 3 } = trial
  atLeastOne('estimateTrainPrior', 'timed', timed)
  const training = planPriorTraining(options)
  const { peakBytes } = planMemory(options.device, () => rehearse(options, training))
  const { recipe } = training
  const stages: PriorEstimate['stages'][number][] = []
  const time = async (stage: string, steps: number, make: MakeStage) => {
    stages.push({ stage, steps, secondsPerStep: await secondsPerStep(make, timed) })
  }
  if (!options.autoencoder) {
    const { steps } = (recipe as PriorRecipe).autoencoderTraining
    await time('autoencoder', steps, (hooks) => firstStage(options, training, 1 + timed, hooks))
  }
  const encodingSeconds = await encodingTime(options, training)
  await time('denoiser', recipe.denoiserTraining.steps, (hooks) => secondStage(options, training, 1 + timed, hooks))
  const seconds = stages.reduce((sum, { steps, secondsPerStep }) => sum + steps * secondsPerStep, encodingSeconds)
  return { peakBytes, stages, encodingSeconds, seconds }
}

type MakeStage = (hooks: TrainerHooks) => { trainer: Pick<Trainer, 'run' | 'rehearse' | 'dispose'>; state: StateDict }

/** The trainer of an autoencoder, for `steps` steps. */
const firstStage = (
  { device, dataset }: TrainPriorOptions,
  { recipe, seed }: PriorTraining,
  steps: number,
  hooks: TrainerHooks,
) => {
  const { autoencoder: config, autoencoderTraining } = recipe as PriorRecipe
  const rest = { ...hooks, recipe: {} }
  return autoencoderTrainer(device, dataset, config, { ...autoencoderTraining, steps }, seed, rest)
}

/** The trainer of a denoiser, for `steps` steps on a latent of zeros. */
const secondStage = (
  { device, dataset }: TrainPriorOptions,
  { recipe, seed }: PriorTraining,
  steps: number,
  hooks: TrainerHooks,
) => {
  const { latentChannels } = recipe.autoencoder
  const { downsampling } = autoencoder(recipe.autoencoder)
  const shape = [1, latentChannels, dataset.height / downsampling, dataset.width / downsampling]
  const latents = { shape, data: new Float32Array(shape.reduce((a, b) => a * b)) }
  return denoiserTrainer(
    ...([device, latents, dataset.labels, dataset.classNames.length, recipe.denoiser] as const),
    ...([{ ...recipe.denoiserTraining, steps }, seed, { ...hooks, recipe: {} }] as const),
  )
}

/** A given autoencoder's parameters, or fresh ones. */
const coderState = ({ device, autoencoder: given }: TrainPriorOptions, { recipe, seed }: PriorTraining): StateDict =>
  given?.state ?? takeFrozen(initialize(device, autoencoder(recipe.autoencoder), { seed }))

/** What a training records on the GPU in the steps of each stage that need the most, and between them. */
function rehearse(options: TrainPriorOptions, training: PriorTraining): void {
  const { device, dataset } = options
  const { recipe } = training
  const first = options.autoencoder
    ? undefined
    : firstStage(options, training, (recipe as PriorRecipe).autoencoderTraining.steps, {})
  first?.trainer.rehearse()
  const state = coderState(options, training)
  first?.trainer.dispose()
  if (first) disposeState(first.state)
  const images = new Float32Array(
    Math.min(dataset.count, encodedAtOnce(dataset)) * dataset.channels * dataset.height * dataset.width,
  )
  encodeBatch(device, autoencoder(recipe.autoencoder), new Params(state), dataset, images).dispose()
  const second = secondStage(options, training, recipe.denoiserTraining.steps, {})
  second.trainer.rehearse()
  second.trainer.dispose()
  disposeState(second.state)
  if (!options.autoencoder) disposeState(state)
}

/** By a run of a first step and `timed` more. */
async function secondsPerStep(make: MakeStage, timed: number): Promise<number> {
  const times: number[] = []
  const { trainer, state } = make({ onProgress: ({ seconds }) => void times.push(seconds) })
  try {
    await trainer.run()
  } finally {
    trainer.dispose()
    disposeState(state)
  }
  return ((times.at(-1) as number) - (times[0] as number)) / timed
}

/** By the second batch of images, or the only one. */
async function encodingTime(options: TrainPriorOptions, training: PriorTraining): Promise<number> {
  const { device, dataset } = options
  const module = autoencoder(training.recipe.autoencoder)
  const state = coderState(options, training)
  const batch = encodedAtOnce(dataset)
  const batches = Math.ceil(dataset.count / batch)
  try {
    let seconds = 0
    for (let i = 0; i < Math.min(2, batches); i++) {
      const started = performance.now()
      const chosen = Array.from({ length: Math.min(batch, dataset.count) }, (_, j) => (i * batch + j) % dataset.count)
      const images = toUnit(await readImages(dataset, chosen))
      const z = encodeBatch(device, module, new Params(state), dataset, images)
      await z.read()
      z.dispose()
      seconds = (performance.now() - started) / 1000
    }
    return (seconds * dataset.count) / Math.min(batch, dataset.count)
  } finally {
    if (!options.autoencoder) disposeState(state)
  }
}
