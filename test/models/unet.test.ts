import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { noGrad, tensor } from '../../src/autograd/index.ts'
import {
  applyModule,
  disposeState,
  parameterCount,
  timestepEmbedding,
  type UnetOptions,
  unet,
  unetPresets,
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

interface UnetGolden {
  readonly output: readonly number[]
  readonly gradients: GradientSummary
}

const goldens = readGolden<Record<string, UnetGolden> & { timestepEmbedding: readonly number[] }>('unet.json')

const base: UnetOptions = {
  inChannels: 3,
  modelChannels: 8,
  channelMult: [1, 2],
  numResBlocks: 1,
  attentionLevels: [1],
  contextDim: 6,
  numHeads: 1,
  groups: 4,
}

const unconditional: UnetOptions = {
  ...{ inChannels: 3, modelChannels: 8, channelMult: [1, 2], numResBlocks: 1, attentionLevels: [0, 1] },
  ...{ headChannels: 4, groups: 4 },
}

test.each([
  ['one context token', 1, base],
  ['several context tokens and heads', 3, { ...base, numResBlocks: 2, attentionLevels: [0, 1], numHeads: 2 }],
] as const)('with %s it gives the output and gradients that PyTorch gives', async (name, tokens, options) => {
  const device = await testDevice()
  const module = unet(options)
  const golden = goldens[name]!
  const state = goldenState(device, module, 200)
  const z = valuesTensor(device, 1, [2, 3, 8, 8], -2, 2).leaf()
  const context = valuesTensor(device, 2, [2, tokens, 6], -2, 2).leaf()
  const timestep = tensor(device, [3, 871])
  const y = applyModule(module, state, z, timestep, context)
  expectClose(await y.read(), golden.output, 1e-4, 'output')
  const loss = () => project(applyModule(module, state, z, timestep, context))
  await expectGradients(loss, { ...state, z, context }, golden.gradients, 1e-4)
  for (const t of [z, context, timestep, y]) t.dispose()
  disposeState(state)
})

test('without a context it gives the output and gradients that PyTorch gives', async () => {
  const device = await testDevice()
  const module = unet(unconditional)
  const golden = goldens['no context']!
  const state = goldenState(device, module, 200)
  const z = valuesTensor(device, 1, [2, 3, 8, 8], -2, 2).leaf()
  const timestep = tensor(device, [3, 871])
  const y = applyModule(module, state, z, timestep)
  expectClose(await y.read(), golden.output, 1e-4, 'output')
  await expectGradients(() => project(applyModule(module, state, z, timestep)), { ...state, z }, golden.gradients, 1e-4)
  for (const t of [z, timestep, y]) t.dispose()
  disposeState(state)
})

test('timesteps are embedded as cosines, then sines', async () => {
  const device = await testDevice()
  const y = timestepEmbedding(tensor(device, [0, 1, 500, 999]), 8)
  expect(y.shape).toEqual([4, 8])
  // Both sides round the angles, which reach 999, to f32: 6e-5.
  expectClose(await y.read(), goldens.timestepEmbedding, 1e-4, 'timestepEmbedding')
  y.dispose()
  expect(() => timestepEmbedding(tensor(device, [0]), 7)).toThrow(/dim must be an even integer.*got 7/)
})

test('the full-size model has the names and shapes of the class-conditional ImageNet checkpoint', () => {
  const module = unet(unetPresets.cin256)
  expect(parameterCount(module)).toBe(400_920_579)
  const prefix = 'model.diffusion_model.'
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

test('the unconditional full-size model has the size of the one for faces', () => {
  const module = unet(unetPresets.ffhq)
  expect(parameterCount(module)).toBe(274_056_163)
  expect(module.parameters['middle_block.1.qkv.weight']?.shape).toEqual([3 * 896, 896, 1])
})

test('without a graph, applying it keeps nothing but its result', async () => {
  const device = await testDevice()
  const module = unet(base)
  const state = goldenState(device, module, 200)
  const z = valuesTensor(device, 1, [1, 3, 8, 8])
  const context = valuesTensor(device, 2, [1, 1, 6])
  const timestep = tensor(device, [3])
  const apply = () => noGrad(() => applyModule(module, state, z, timestep, context)).dispose()
  // The first time makes the packed weights that stay with the weights.
  apply()
  const before = device.memory.current
  apply()
  expect(device.memory.current).toBe(before)
  for (const t of [z, context, timestep]) t.dispose()
  disposeState(state)
})

test('mistakes are named at the door', async () => {
  const device = await testDevice()
  const t = (shape: number[]) => valuesTensor(device, 1, shape)
  const module = unet(base)
  const apply = (z: number[], timestep: number[], context: number[], of = module) =>
    applyModule(of, {}, t(z), t(timestep), t(context))
  expect(() => apply([2, 4, 8, 8], [2], [2, 1, 6])).toThrow(/unet: z: expected shape \[N, 3, H, W\]/)
  expect(() => apply([2, 3, 8, 8], [1], [2, 1, 6])).toThrow(/unet: timestep: expected shape \[2\]/)
  expect(() => apply([2, 3, 8, 8], [2], [2, 1, 5])).toThrow(/unet: context: expected shape \[2, L, 6\]/)
  expect(() => apply([2, 3, 7, 8], [2], [2, 1, 6])).toThrow(/z is 7×8; both must be multiples of 2/)
  expect(() => apply([2, 3, 8, 8], [2], [2, 1, 6], unet(unconditional))).toThrow(/but the UNet is unconditional/)
  expect(() => applyModule(module, {}, t([2, 3, 8, 8]), t([2]))).toThrow(/the context is missing.*\[2, L, 6\]/)
  expect(() => unet({ ...base, headChannels: 4 })).toThrow(/numHeads is 1 and headChannels 4.*Give one of them/)
  expect(() => unet({ ...unconditional, headChannels: 3 })).toThrow(/8 channels does not divide into 3 channels a head/)
  expect(() => unet({ ...base, groups: 3 })).toThrow(/8 channels does not divide into 3 groups/)
  expect(() => unet({ ...base, attentionLevels: [2] })).toThrow(/level 2 is not a level.*0 to 1/)
  const { groups, ...rest } = base
  expect(() => unet(rest as UnetOptions)).toThrow(/groups must be an integer.*got undefined/)
  expect(() => unet({ ...base, dropout: 0 } as never)).toThrow(/unknown option 'dropout'/)
})
