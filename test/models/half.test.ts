import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { byteSource, openCheckpoint } from '../../src/io/index.ts'
import { type Prior, priorFromCheckpoint } from '../../src/ld3m/index.ts'
import {
  disposeState,
  halve,
  initialize,
  loadStateDict,
  type NamedArrays,
  Params,
  readStateDict,
  type StateDict,
  unet,
} from '../../src/models/index.ts'
import { uniform } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { valuesTensor } from '../support/golden.ts'
import { tinyPrior } from '../support/tiny.ts'

const device = await testDevice()
const available = device.info.features.has('shader-f16')

const bytesOf = (state: StateDict) => Object.values(state).reduce((n, t) => n + t.size * (t.dtype === 'f16' ? 2 : 4), 0)

/** ‖a − b‖ / ‖b‖. */
function relativeError(a: Float32Array, b: Float32Array): number {
  let [difference, size] = [0, 0]
  for (const [i, v] of b.entries()) {
    difference += (a[i]! - v) ** 2
    size += v ** 2
  }
  return Math.sqrt(difference / size)
}

const module = unet({
  ...{ inChannels: 3, modelChannels: 32, channelMult: [1, 2], numResBlocks: 1, attentionLevels: [1] },
  ...{ contextDim: 16, numHeads: 2, groups: 8 },
})

/** Random weights, also where they start at zero. */
function weights(): NamedArrays {
  const random = uniform(3)
  return Object.fromEntries(
    Object.entries(module.parameters).map(([name, { shape, init }]) => {
      const count = shape.reduce((a, b) => a * b, 1)
      const fanIn = shape.length < 2 ? 100 : count / (shape[0] as number)
      const one = init.kind === 'constant' ? init.value : 0
      const data = Float32Array.from({ length: count }, () => one + (3 / fanIn) ** 0.5 * (2 * random() - 1))
      return [name, { shape, data }]
    }),
  )
}

/** The predicted noise, and the gradients of a mean square with respect to the latent and the context. */
async function predict(state: StateDict): Promise<Float32Array[]> {
  const results = scope(() => {
    const z = valuesTensor(device, 1, [2, 3, 8, 8], -2, 2).leaf()
    const context = valuesTensor(device, 2, [2, 1, 16], -2, 2).leaf()
    const y = applyUnet(state, z, context)
    return [y, ...grad(ops.mean(ops.square(y)), [z, context])]
  })
  return Promise.all(
    results.map(async (t) => {
      const data = await t.read()
      t.dispose()
      return data
    }),
  )
}

const applyUnet = (state: StateDict, z: Tensor, context: Tensor): Tensor =>
  module.apply(new Params(state), z, tensor(device, [3, 871]), context)

test('a UNet with weights in f16 predicts what it does in f32, and so are its gradients, in half the memory', async () => {
  const arrays = weights()
  if (!available) {
    expect(() => loadStateDict(device, module, arrays, { dtype: 'f16' })).toThrow(/shader-f16/)
    return
  }
  const full = loadStateDict(device, module, arrays)
  const loaded = loadStateDict(device, module, arrays, { dtype: 'f16' })
  const halved = halve(module, full)
  expect(await readStateDict(loaded)).toEqual(await readStateDict(halved))
  for (const state of [loaded, halved]) expect(Object.values(state).some((t) => t.requiresGrad)).toBe(false)
  expect(bytesOf(halved) / bytesOf(full)).toBeLessThan(0.52)
  const [expected, actual] = [await predict(full), await predict(halved)]
  for (const [i, what] of ['output', 'gradient of the latent', 'gradient of the context'].entries()) {
    const error = relativeError(actual[i]!, expected[i]!)
    expect(error, what).toBeLessThan(2e-3)
    expect(error, what).toBeGreaterThan(0)
  }
  for (const state of [full, loaded, halved]) disposeState(state)
})

test('a state that cannot be halved leaves nothing behind', () => {
  const before = device.memory.current
  const state = initialize(device, module, { seed: 1 })
  const last = Object.keys(state).at(-1) as string
  state[last]?.dispose()
  expect(() => halve(module, state)).toThrow()
  for (const [name, value] of Object.entries(state)) if (name !== last) value.dispose()
  expect(device.memory.current).toBe(before)
})

test('a prior is loaded, runs and is saved in f16', async () => {
  const prior = tinyPrior(device)
  const bytes = await prior.toSafetensors()
  const load = async (file: Uint8Array) =>
    priorFromCheckpoint(device, await openCheckpoint(byteSource(file)), { dtype: 'f16' })
  if (!available) {
    await expect(load(bytes)).rejects.toThrow(/shader-f16/)
    return
  }
  const small = await load(bytes)
  const saved = await small.toSafetensors()
  expect(saved.length).toBeLessThan(0.75 * bytes.length)
  const again = await load(saved)
  expect(await readStateDict(again.denoiserState)).toEqual(await readStateDict(small.denoiserState))
  expect(again.autoencoderState['quantize.embedding.weight']!.dtype).toBe('f32')
  const [exact, rounded] = await Promise.all([prior, small].map((p) => decoded(device, p)))
  expect(relativeError(rounded!, exact!)).toBeLessThan(2e-3)
  for (const p of [prior, small, again]) p.dispose()
})

async function decoded(device: Device, prior: Prior): Promise<Float32Array> {
  const image = scope(() => prior.decode(valuesTensor(device, 5, [2, ...prior.latentShape], -1, 1)))
  const data = await image.read()
  image.dispose()
  return data
}

test('weights that are looked up stay f32', () => {
  const prior = tinyPrior(device)
  const halves = Object.entries(prior.autoencoder.parameters).filter(([, { half }]) => half)
  expect(halves.every(([name, { shape }]) => shape.length >= 2 && name !== 'quantize.embedding.weight')).toBe(true)
  prior.dispose()
  const state = initialize(device, module, { seed: 1 })
  expect(() => loadStateDict(device, module, {}, { dtype: 'i32' as 'f32' })).toThrow(/dtype is 'i32'/)
  disposeState(state)
})
