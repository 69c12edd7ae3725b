import process from 'node:process'
import { optionError } from '../errors.ts'
import { denoiserRecipe, priorRecipe, type TrainPriorOptions } from '../ld3m/index.ts'
import { loadPrior, openDataset, openDevice, trainPriorFile } from '../node/index.ts'
import { command, INERT, inertNames, integer } from './arguments.ts'
import { CLASSES, DATA_KINDS } from './data.ts'

export const trainPriorCommand = command(
  'train-prior',
  'Train a prior on your own images; run again, it goes on where it was stopped',
  {
    data: { type: 'string', valueHint: 'PATH', required: true, description: `Training images: ${DATA_KINDS}` },
    classes: CLASSES,
    size: {
      type: 'string',
      valueHint: 'N',
      description: 'Sides of the images, such as 32, 64 or 128; default as they are',
    },
    channels: {
      type: 'enum',
      options: ['3', '1'],
      description: '3 for RGB, 1 for grey; default 3, of IDX files their own',
    },
    autoencoder: {
      type: 'string',
      valueHint: 'FILE',
      description: 'A prior whose autoencoder is kept, so that the denoiser alone is trained',
    },
    ...INERT,
    'autoencoder-steps': { type: 'string', valueHint: 'N', description: 'Steps of the autoencoder; default by size' },
    'denoiser-steps': { type: 'string', valueHint: 'N', description: 'Steps of the denoiser; default 20000' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same prior' },
    out: { type: 'string', valueHint: 'FILE', required: true, description: 'The prior, safetensors' },
  },
  async ({ data, classes, size, channels, autoencoder: file, inert, seed: seedText, out, ...texts }) => {
    const format = {
      ...(size !== undefined && { size: integer('size', size) }),
      ...(channels !== undefined && { channels: integer('channels', channels) as 1 | 3 }),
      ...(classes !== undefined && { classes: classes.split(',') }),
    }
    const steps = (name: 'autoencoder-steps' | 'denoiser-steps') =>
      texts[name] === undefined ? {} : { steps: integer(name, texts[name]) }
    const [ofAutoencoder, ofDenoiser, seed] = [
      steps('autoencoder-steps'),
      steps('denoiser-steps'),
      integer('seed', seedText),
    ]
    if (file !== undefined && texts['autoencoder-steps'] !== undefined) {
      throw optionError('--autoencoder-steps is of no use with --autoencoder, which is kept.', 'Leave one out.')
    }
    if (file === undefined && inert !== undefined) {
      throw optionError('--inert is of no use without --autoencoder.', 'Leave it out.')
    }
    const device = await openDevice()
    try {
      const dataset = await openDataset(data, format)
      const withSteps = <R extends { denoiserTraining: object }>(recipe: R): R => ({
        ...recipe,
        denoiserTraining: { ...recipe.denoiserTraining, ...ofDenoiser },
      })
      let chosen: Pick<TrainPriorOptions, 'autoencoder' | 'recipe'>
      if (file === undefined) {
        const recipe = priorRecipe(dataset)
        const autoencoderTraining = { ...recipe.autoencoderTraining, ...ofAutoencoder }
        chosen = { recipe: withSteps({ ...recipe, autoencoderTraining }) }
      } else {
        const { config, autoencoderState: state } = await loadPrior(device, file, inertNames(inert))
        const autoencoder = { options: config.autoencoder, state }
        chosen = { autoencoder, recipe: withSteps(denoiserRecipe(dataset, config.autoencoder)) }
      }
      await trainPriorFile(out, { ...{ device, dataset, seed }, ...chosen })
      process.stdout.write(`The prior is in ${out}; \`ld3m-gpu sample\` draws images from it.\n`)
    } finally {
      device.destroy()
    }
  },
)
