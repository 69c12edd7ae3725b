import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor } from '../../src/autograd/index.ts'
import { diffuse, Prior, type PriorConfig, resolveDiffusion } from '../../src/ld3m/index.ts'
import { autoencoder, freeze, halve, unet } from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { goldenState, project, readGolden, valuesTensor } from '../support/golden.ts'

const NAMES = ['latents', 'images', 'gradientOfLatents', 'gradientOfConditioning'] as const
const golden = readGolden<Record<(typeof NAMES)[number], readonly number[]>>('process.json')

const config: PriorConfig = {
  name: 'golden',
  classes: 2,
  image: { channels: 3, height: 16, width: 16 },
  latentScale: 1.3,
  autoencoder: {
    ...{ channels: 3, baseChannels: 6, channelMult: [1, 2, 2], numResBlocks: 1, latentChannels: 3, codebookSize: 32 },
    ...{ groups: 3, midAttention: true, stem: 'full' },
  },
  denoiser: {
    ...{ inChannels: 3, modelChannels: 8, channelMult: [1, 2], numResBlocks: 1, attentionLevels: [1] },
    ...{ contextDim: 6, numHeads: 1, groups: 4 },
  },
}

const device = await testDevice()

test.each(device.info.features.has('shader-f16') ? (['f32', 'f16'] as const) : (['f32'] as const))(
  'ten guided steps, the decoder and their gradients are PyTorch’s, with weights in %s',
  async (dtype) => {
    const state = (module: Parameters<typeof goldenState>[1], seed: number) => {
      const full = freeze(goldenState(device, module, seed))
      return dtype === 'f16' ? halve(module, full) : full
    }
    const table = scope(() => ops.concat([valuesTensor(device, 3, [2, 6]), valuesTensor(device, 4, [1, 6], -2, 2)], 0))
    const states = [state(autoencoder(config.autoencoder), 300), state(unet(config.denoiser), 200)] as const
    const prior = new Prior(device, config, ...states, table)
    const results = scope(() => {
      const latents = valuesTensor(device, 1, [2, 3, 4, 4]).leaf()
      const conditioning = valuesTensor(device, 2, [2, 6], -2, 2).leaf()
      const noise = { start: valuesTensor(device, 5, [2, 3, 4, 4], -2, 2), steps: [] }
      const z = diffuse(prior, latents, conditioning, noise, resolveDiffusion({ steps: 10, checkpoint: true }))
      const images = prior.decode(z)
      return [z, images, ...grad(project(images), [latents, conditioning])]
    })
    for (const [i, name] of NAMES.entries()) {
      const actual = results[i] as Tensor
      expectClose(await actual.read(), golden[name], dtype === 'f16' ? 2e-2 : 1e-3, name)
      actual.dispose()
    }
    prior.dispose()
    expect(results).toHaveLength(NAMES.length)
  },
)
