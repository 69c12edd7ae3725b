import { createDataset, type Dataset } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { Prior, type PriorConfig, type PriorRecipe } from '../../src/ld3m/index.ts'
import { autoencoder, initialize, type Module, takeFrozen, unet } from '../../src/models/index.ts'
import { uniform } from './checks.ts'

export const TINY_CLASSES = ['dark', 'bright']

/** Two classes of 8×8 grey noise, one dark and one bright. */
export function tinyDataset(perClass = 12): Dataset {
  const random = uniform(7)
  const count = TINY_CLASSES.length * perClass
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 2)
  const images = Uint8Array.from({ length: count * 64 }, (_, j) => {
    const label = labels[Math.floor(j / 64)] as number
    return Math.floor(random() * 120 + label * 120)
  })
  return createDataset({ name: 'tiny', images, labels, channels: 1, height: 8, width: 8, classNames: TINY_CLASSES })
}

export const tinyConfig: PriorConfig = {
  name: 'tiny',
  classes: 2,
  image: { channels: 1, height: 8, width: 8 },
  latentScale: 1.3,
  autoencoder: {
    ...{ channels: 1, baseChannels: 4, channelMult: [1, 2], numResBlocks: 1, latentChannels: 2, codebookSize: 8 },
    ...{ groups: 2, midAttention: false, stem: 'full' },
  },
  denoiser: {
    ...{ inChannels: 2, modelChannels: 4, channelMult: [1, 2], numResBlocks: 1, attentionLevels: [1] },
    ...{ contextDim: 6, numHeads: 1, groups: 2 },
  },
}

/** A recipe for such a prior, trained for so many steps. */
export const tinyRecipe = (
  autoencoder: Partial<PriorRecipe['autoencoderTraining']> = {},
  denoiser: Partial<PriorRecipe['denoiserTraining']> = {},
): PriorRecipe => ({
  name: 'tiny',
  autoencoder: tinyConfig.autoencoder as PriorRecipe['autoencoder'],
  denoiser: tinyConfig.denoiser,
  autoencoderTraining: { steps: 60, batch: 8, learningRate: 3e-3, ...autoencoder },
  denoiserTraining: { steps: 24, batch: 8, learningRate: 3e-3, emaDecay: 0.9, conditionDropout: 0.1, ...denoiser },
})

/** The module with random values where it starts at zero, so that every part of it has an effect. */
function withoutZeros<M extends Pick<Module, 'parameters'>>({ parameters }: M): Pick<Module, 'parameters'> {
  const entries = Object.entries(parameters).map(([name, { shape, init }]) => {
    const zero = init.kind === 'constant' && init.value === 0
    return [name, { shape, init: zero ? ({ kind: 'normal', std: 0.3 } as const) : init }]
  })
  return { parameters: Object.fromEntries(entries) }
}

/** A prior with random weights: small enough to check everything around it. */
export function tinyPrior(device: Device, config: PriorConfig = tinyConfig): Prior {
  const { contextDim = 0 } = config.denoiser
  const shape = [config.classes + 1, contextDim]
  const embedding = { parameters: { weight: { shape, init: { kind: 'normal', std: 1 } } } } as const
  const table = takeFrozen(initialize(device, embedding, { seed: 3 })).weight
  if (!table) throw new Error('no embedding')
  return new Prior(
    device,
    config,
    takeFrozen(initialize(device, withoutZeros(autoencoder(config.autoencoder)), { seed: 1 })),
    takeFrozen(initialize(device, withoutZeros(unet(config.denoiser)), { seed: 2 })),
    table,
  )
}
