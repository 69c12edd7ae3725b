import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { scope } from '../../src/autograd/index.ts'
import {
  disposeState,
  Params,
  parameterCount,
  type VqAutoencoderOptions,
  vqAutoencoder,
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

interface VqGolden {
  readonly latents: readonly number[]
  readonly indices: readonly number[]
  readonly images: readonly number[]
  readonly gradients: GradientSummary
}

const goldens = readGolden<Record<string, VqGolden>>('vq.json')

const full: VqAutoencoderOptions = {
  channels: 3,
  baseChannels: 6,
  channelMult: [1, 2, 2],
  numResBlocks: 1,
  latentChannels: 3,
  codebookSize: 32,
  groups: 3,
  midAttention: true,
  stem: 'full',
}

const cases: Record<string, VqAutoencoderOptions> = {
  full,
  strided: { ...full, channels: 1, channelMult: [1, 2], numResBlocks: 2, midAttention: false, stem: 'strided' },
}

test.each(Object.entries(cases))('with a %s stem it gives what PyTorch gives', async (name, options) => {
  const device = await testDevice()
  const module = vqAutoencoder(options)
  const golden = goldens[name]!
  const state = goldenState(device, module, 300)
  const params = new Params(state)
  const images = valuesTensor(device, 1, [2, options.channels, 16, 16]).leaf()
  const { latents, quantized, indices, decoded } = scope(() => {
    const z = module.encode(params, images)
    const codes = module.quantize(params, z)
    return { latents: z, ...codes, decoded: module.decode(params, codes.quantized) }
  })
  expect(module.downsampling).toBe(4)
  expect(latents.shape).toEqual([2, 3, 4, 4])
  expectClose(await latents.read(), golden.latents, 1e-4, 'latents')
  expect([...(await indices.read())]).toEqual(golden.indices)
  expect(indices.shape).toEqual([2, 4, 4])
  expect(quantized.shape).toEqual(latents.shape)
  expectClose(await decoded.read(), golden.images, 1e-4, 'images')
  const loss = () => scope(() => project(module.apply(params, images)))
  await expectGradients(loss, { ...state, images }, golden.gradients, 1e-4)
  for (const t of [images, latents, quantized, indices, decoded]) t.dispose()
  disposeState(state)
})

test('the full-size model has the names and shapes of the class-conditional ImageNet checkpoint', () => {
  const module = vqAutoencoder(vqPresets.f4)
  expect(parameterCount(module)).toBe(55_322_782)
  const prefix = 'first_stage_model.'
  const keys = readFileSync(new URL('../golden/cin256-v2-keys.tsv', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  const expected = keys.filter((k) => k.startsWith(prefix)).map((k) => k.slice(prefix.length))
  expect(
    Object.entries(module.parameters)
      .map(([name, { shape }]) => `${name}\t${shape.join('x')}`)
      .sort(),
  ).toEqual(expected.sort())
})

test('mistakes are named at the door', async () => {
  const device = await testDevice()
  const module = vqAutoencoder(full)
  const params = new Params({})
  const t = (shape: number[]) => valuesTensor(device, 1, shape)
  expect(() => module.encode(params, t([1, 1, 16, 16]))).toThrow(/encode: images: expected shape \[N, 3, H, W\]/)
  expect(() => module.encode(params, t([1, 3, 18, 16]))).toThrow(/images are 18×16; both must be multiples of 4/)
  expect(() => module.quantize(params, t([1, 4, 4, 4]))).toThrow(/quantize: latents: expected shape \[N, 3, h, w\]/)
  expect(() => module.decode(params, t([1, 3, 4]))).toThrow(/decode: latents: expected shape/)
  expect(() => vqAutoencoder({ ...full, groups: 4 })).toThrow(/6 channels does not divide into 4 groups/)
  expect(() => vqAutoencoder({ ...full, stem: 'wide' as never })).toThrow(/unknown stem 'wide'/)
})
