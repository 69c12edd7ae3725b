import process from 'node:process'
import { optionError } from '../errors.ts'
import {
  type DenoiserRecipe,
  denoiserRecipe,
  emaDecayFor,
  estimateTrainPrior,
  priorRecipe,
  type TrainPriorOptions,
} from '../ld3m/index.ts'
import { formatBytes, formatDuration, loadPrior, openDevice, trainPriorFile } from '../node/index.ts'
import { counted } from '../words.ts'
import { command, countOf, INERT, inertNames, integer, positiveNumber } from './arguments.ts'
import { CHANNELS, CLASSES, DATA_KINDS, imageSizes, trainingImages } from './data.ts'
import { HOLD_OUT, holdOutOf } from './hold-out.ts'

/** Prints what a training would take. */
async function printEstimate(options: TrainPriorOptions): Promise<void> {
  const { peakBytes, seconds, stages, encodingSeconds } = await estimateTrainPrior(options)
  const parts = stages.map(
    ({ stage, steps, secondsPerStep }) =>
      `${counted(steps, 'step')} of the ${stage} of ${secondsPerStep.toPrecision(2)} s`,
  )
  process.stdout.write(
    `About ${formatBytes(peakBytes)} of GPU memory and ${formatDuration(seconds)}: ${parts.join(', ')}, as three after a ` +
      `first one took, and ${formatDuration(encodingSeconds)} for encoding; without saving.\n`,
  )
}

type Stage = 'autoencoder' | 'denoiser'
type OfStage = 'steps' | 'batch' | 'lr'

/** What a command's options say of a stage's training. */
function ofStage(
  stage: Stage,
  texts: Readonly<Record<`${Stage}-${OfStage}`, string | undefined>>,
): { steps?: number; batch?: number; learningRate?: number } {
  const given = <K extends string>(name: K, what: OfStage, parse: (option: string, text: string) => number) => {
    const text = texts[`${stage}-${what}`]
    return text === undefined ? {} : ({ [name]: parse(`${stage}-${what}`, text) } as { [_ in K]?: number })
  }
  return {
    ...given('steps', 'steps', countOf),
    ...given('batch', 'batch', countOf),
    ...given('learningRate', 'lr', positiveNumber),
  }
}

export const trainPriorCommand = command(
  'train-prior',
  'Train a prior on your own images; run again, it goes on where it was stopped',
  {
    data: { type: 'string', valueHint: 'PATH', required: true, description: `Training images: ${DATA_KINDS}` },
    classes: CLASSES,
    'hold-out': HOLD_OUT,
    size: {
      type: 'string',
      valueHint: 'N',
      description: 'Sides of the images, such as 32, 64 or 128; default as they are',
    },
    ...CHANNELS,
    autoencoder: {
      type: 'string',
      valueHint: 'FILE',
      description: 'A prior whose autoencoder is kept, so that the denoiser alone is trained',
    },
    ...INERT,
    width: { type: 'string', valueHint: 'N', description: "Channels of each network's first level; default 32" },
    'autoencoder-steps': { type: 'string', valueHint: 'N', description: 'Steps of the autoencoder; default by size' },
    'autoencoder-batch': { type: 'string', valueHint: 'N', description: 'Images a step; default by size' },
    'autoencoder-lr': { type: 'string', valueHint: 'X', description: 'Learning rate; default 0.001' },
    'denoiser-steps': { type: 'string', valueHint: 'N', description: 'Steps of the denoiser; default 20000' },
    'denoiser-batch': { type: 'string', valueHint: 'N', description: 'Latents a step; default 64' },
    'denoiser-lr': { type: 'string', valueHint: 'X', description: 'Learning rate; default 0.001' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same prior' },
    estimate: { type: 'boolean', default: false, description: 'Tell memory and time, by a few steps of each stage' },
    out: { type: 'string', valueHint: 'FILE', required: true, description: 'The prior, safetensors' },
  },
  async ({
    data: path,
    classes,
    'hold-out': fraction,
    size,
    channels,
    width,
    autoencoder: file,
    inert,
    seed: seedText,
    estimate,
    out,
    ...texts
  }) => {
    const data = { path, classes, holdOut: holdOutOf(fraction) }
    const sizes = imageSizes(size, channels)
    const [ofAutoencoder, ofDenoiser] = [ofStage('autoencoder', texts), ofStage('denoiser', texts)]
    const seed = integer('seed', seedText)
    const channelsOf = <T extends string>(name: T) =>
      width === undefined ? {} : ({ [name]: countOf('width', width) } as { [K in T]: number })
    const [useless] = Object.keys(texts).filter((name) => name.startsWith('autoencoder-'))
    if (file !== undefined && useless !== undefined) {
      throw optionError(`--${useless} is of no use with --autoencoder, which is kept.`, 'Leave one out.')
    }
    if (file === undefined && inert !== undefined) {
      throw optionError('--inert is of no use without --autoencoder.', 'Leave it out.')
    }
    const device = await openDevice()
    try {
      const { dataset } = await trainingImages(data, sizes)
      const ofLatents = <R extends DenoiserRecipe>(recipe: R): R => ({
        ...recipe,
        denoiser: { ...recipe.denoiser, ...channelsOf('modelChannels') },
        denoiserTraining: {
          ...{ ...recipe.denoiserTraining, ...ofDenoiser },
          emaDecay: emaDecayFor(ofDenoiser.steps ?? recipe.denoiserTraining.steps),
        },
      })
      let chosen: Pick<TrainPriorOptions, 'autoencoder' | 'recipe'>
      if (file === undefined) {
        const recipe = ofLatents(priorRecipe(dataset))
        const autoencoder = { ...recipe.autoencoder, ...channelsOf('baseChannels') }
        const autoencoderTraining = { ...recipe.autoencoderTraining, ...ofAutoencoder }
        chosen = { recipe: { ...recipe, autoencoder, autoencoderTraining } }
      } else {
        const { config, autoencoderState: state } = await loadPrior(device, file, inertNames(inert))
        const autoencoder = { options: config.autoencoder, state }
        chosen = { autoencoder, recipe: ofLatents(denoiserRecipe(dataset, config.autoencoder)) }
      }
      const options = { ...{ device, dataset, seed }, ...chosen } as TrainPriorOptions
      if (estimate) {
        await printEstimate(options)
        return
      }
      await trainPriorFile(out, options)
      process.stdout.write(`The prior is in ${out}; \`ld3m-gpu sample\` draws images from it.\n`)
    } finally {
      device.destroy()
    }
  },
)
