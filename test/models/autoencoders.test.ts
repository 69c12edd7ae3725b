import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ops, scope } from '../../src/autograd/index.ts'
import {
  type AutoencoderOptions,
  autoencoder,
  disposeState,
  type KlAutoencoderOptions,
  klAutoencoder,
  klPresets,
  Params,
  parameterCount,
  type TinyAutoencoderOptions,
  tinyAutoencoder,
  tinyPresets,
  vqPresets,
} from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import {
  expectGradients,
  type GradientSummary,
  goldenState,
  project,
  readGolden,
  valuesTensor,
} from '../support/golden.ts'

interface KlGolden {
  readonly mean: readonly number[]
  readonly logVariance: readonly number[]
  readonly images: readonly number[]
  readonly gradients: GradientSummary
}

interface TinyGolden {
  readonly latents: readonly number[]
  readonly images: readonly number[]
  readonly gradients: GradientSummary
}

const goldens = readGolden<{ kl: KlGolden } & Record<string, TinyGolden>>('autoencoders.json')

const kl: KlAutoencoderOptions = {
  kind: 'kl',
  channels: 3,
  baseChannels: 6,
  channelMult: [1, 2],
  numResBlocks: 1,
  latentChannels: 4,
  groups: 3,
  midAttention: true,
  stem: 'full',
}

const tiny: TinyAutoencoderOptions = {
  ...{ kind: 'tiny', channels: 3, latentChannels: 4, width: 8, stages: 2, blocks: 2, globalNorm: false },
}

test('with distributed latents it gives the moments, images and gradients that PyTorch gives', async () => {
  const device = await testDevice()
  const module = klAutoencoder(kl)
  const golden = goldens.kl
  const state = goldenState(device, module, 300)
  const params = new Params(state)
  const images = valuesTensor(device, 1, [2, 3, 8, 8]).leaf()
  const { mean, logVariance, latents, decoded } = scope(() => {
    const latents = module.encode(params, images)
    return { ...module.posterior(params, images), latents, decoded: module.decode(params, latents) }
  })
  expect(mean.shape).toEqual([2, 4, 4, 4])
  expectClose(await mean.read(), golden.mean, 1e-4, 'means')
  expectClose(await latents.read(), golden.mean, 1e-4, 'latents')
  expectClose(await logVariance.read(), golden.logVariance, 1e-4, 'log-variances')
  expectClose(await decoded.read(), golden.images, 1e-4, 'images')
  const loss = () =>
    scope(() => {
      const variance = ops.exp(module.posterior(params, images).logVariance)
      return ops.add(project(module.apply(params, images)), ops.sum(variance))
    })
  await expectGradients(loss, { ...state, images }, golden.gradients, 1e-4)
  for (const t of [images, mean, logVariance, latents, decoded]) t.dispose()
  disposeState(state)
})

test.each([
  ['tiny', tiny],
  ['tiny with global norms', { ...tiny, globalNorm: true }],
] as const)('%s, it encodes, decodes and passes gradients as PyTorch does', async (name, options) => {
  const device = await testDevice()
  const module = tinyAutoencoder(options)
  const golden = goldens[name]!
  const state = goldenState(device, module, 300)
  const params = new Params(state)
  const images = valuesTensor(device, 1, [2, 3, 8, 8]).leaf()
  // Latents beyond ±3, where the decoder draws them together.
  const decodeLarge = () => module.decode(params, ops.scale(module.encode(params, images), 20))
  const [latents, decoded] = scope(() => [module.encode(params, images), decodeLarge()] as const)
  expect(module.downsampling).toBe(4)
  expect(latents.shape).toEqual([2, 4, 2, 2])
  expectClose(await latents.read(), golden.latents, 1e-4, 'latents')
  expectClose(await decoded.read(), golden.images, 1e-4, 'images')
  const loss = () => scope(() => project(decodeLarge()))
  await expectGradients(loss, { ...state, images }, golden.gradients, 1e-4)
  for (const t of [images, latents, decoded]) t.dispose()
  disposeState(state)
})

test('a tiny autoencoder has the names and shapes of the published files', () => {
  const lines = readFileSync(new URL('../golden/taef2-keys.tsv', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  const { parameters } = tinyAutoencoder(tinyPresets.taef2)
  const own = Object.entries(parameters).map(([name, { shape }]) => `${name}\t${shape.join('x')}`)
  expect(own.sort()).toEqual(lines.sort())
})

test.each([
  ['KL-f8', klPresets.f8, 83_653_863],
  ['TAESD', tinyPresets.taesd, 2_445_063],
  ['VQ-f4', vqPresets.f4, 55_322_782],
] as const)('%s has its number of parameters', (_, options, count) => {
  expect(parameterCount(autoencoder(options))).toBe(count)
})

test('what kind it is follows from the options', () => {
  const kinds = [vqPresets.small, { ...vqPresets.small, kind: 'vq' }, klPresets.f8, tinyPresets.taesd] as const
  expect(kinds.map((options) => autoencoder(options).kind)).toEqual(['vq', 'vq', 'kl', 'tiny'])
})

test('mistakes are named at the door', async () => {
  const device = await testDevice()
  const params = new Params({})
  const t = (shape: number[]) => valuesTensor(device, 1, shape)
  const module = tinyAutoencoder(tiny)
  expect(() => module.encode(params, t([1, 1, 8, 8]))).toThrow(/encode: images: expected shape \[N, 3, H, W\]/)
  expect(() => module.encode(params, t([1, 3, 8, 10]))).toThrow(/images are 8×10; both must be multiples of 4/)
  expect(() => module.decode(params, t([1, 3, 2, 2]))).toThrow(/decode: latents: expected shape \[N, 4, h, w\]/)
  expect(() => tinyAutoencoder({ ...tiny, stages: 0 })).toThrow(/stages must be an integer of at least 1/)
  expect(() => tinyAutoencoder({ ...tiny, globalNorm: 1 as never })).toThrow(/globalNorm is 1/)
  expect(() => klAutoencoder({ ...kl, codebookSize: 8 } as never)).toThrow(/unknown option 'codebookSize'/)
  expect(() => klAutoencoder(kl).decode(params, t([1, 3, 4, 4]))).toThrow(/decode: latents: expected shape \[N, 4/)
  const odd = { ...tiny, kind: 'gan' } as unknown as AutoencoderOptions
  expect(() => autoencoder(odd)).toThrow(/unknown kind 'gan'/)
})
