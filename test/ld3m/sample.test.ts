import { beforeAll, describe, expect, test } from 'vitest'
import { grad, keep, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { byteSource, openCheckpoint } from '../../src/io/index.ts'
import {
  ddimSteps,
  diffuse,
  distill,
  distilledFromSafetensors,
  distilledToSafetensors,
  dm,
  drawNoise,
  type Prior,
  type PriorConfig,
  priorFromCheckpoint,
  resolveDiffusion,
} from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { tinyConfig, tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
let prior: Prior
beforeAll(async () => {
  device = await testDevice()
  prior = tinyPrior(device)
})

const { contextDim: _, ...denoiser } = tinyConfig.denoiser
const unconditional: PriorConfig = { ...tinyConfig, classes: 0, denoiser: { ...denoiser, attentionLevels: [] } }
const variants: Record<string, PriorConfig> = {
  'a KL autoencoder': {
    ...tinyConfig,
    autoencoder: {
      ...{ kind: 'kl', channels: 1, baseChannels: 4, channelMult: [1, 2], numResBlocks: 1, latentChannels: 2 },
      ...{ groups: 2, midAttention: true, stem: 'full' },
    },
  },
  'a tiny autoencoder': {
    ...tinyConfig,
    autoencoder: {
      ...{ kind: 'tiny', channels: 1, latentChannels: 2, width: 4, stages: 1, blocks: 1, globalNorm: true },
    },
  },
  'an unconditional denoiser': unconditional,
}

describe('sampling', () => {
  test('draws images of the asked number in [0, 1], the same for a seed whatever the chunk', async () => {
    const options = { classId: 1, count: 3, steps: 3, eta: 0.5, seed: 4 }
    const images = await prior.sample(options)
    expect(images.shape).toEqual([3, 1, 8, 8])
    expect(images.data.every((v) => v >= 0 && v <= 1)).toBe(true)
    expect((await prior.sample(options)).data).toEqual(images.data)
    expectClose((await prior.sample({ ...options, chunk: 2 })).data, images.data, 1e-4, 'in chunks')
    for (const other of [{ seed: 5 }, { classId: 0 }, { guidance: 1 }, { eta: 0 }]) {
      expect((await prior.sample({ ...options, ...other })).data, JSON.stringify(other)).not.toEqual(images.data)
    }
  })

  test('starts from standard normal noise, whatever the scale of latents', async () => {
    const [alphaBar, alphaBarPrev] = [ddimSteps(1)[0]!.alphaBar, ddimSteps(1)[0]!.alphaBarPrev]
    // A denoiser that sees no noise: one step multiplies what it starts from.
    const silent = tinyPrior(device, { ...tinyConfig, latentScale: 0.25 })
    const state = silent.denoiserState
    for (const name of ['out.2.weight', 'out.2.bias']) state[name]!.write(new Float32Array(state[name]!.size))
    let seen: Tensor | undefined
    const decode = silent.decode.bind(silent)
    silent.decode = (z) => {
      seen = keep(z.detach())
      return decode(z)
    }
    await silent.sample({ classId: 0, count: 64, chunk: 64, steps: 1, guidance: 1 })
    const start = (await seen!.read()).map((v) => v * 0.25 * Math.sqrt(alphaBar / alphaBarPrev))
    const mean = start.reduce((a, v) => a + v, 0) / start.length
    const variance = start.reduce((a, v) => a + v * v, 0) / start.length - mean ** 2
    // 64 · 32 draws: standard errors 0.022 and 0.031.
    expect(Math.abs(mean)).toBeLessThan(0.1)
    expect(Math.abs(variance - 1)).toBeLessThan(0.15)
    seen!.dispose()
    silent.dispose()
  })

  test('without a class needs no guidance', async () => {
    const plain = await prior.sample({ steps: 2, guidance: 1 })
    expect((await prior.sample({ steps: 2, guidance: 5 })).data).toEqual(plain.data)
  })

  test.each([
    [{ classId: 2 }, /classId is 2.*classes are 0 to 1/],
    [{ classId: 0.5 }, /classId is 0.5/],
    [{ count: 0 }, /count is 0/],
    [{ steps: 0 }, /diffusion.steps is 0/],
    [{ seed: -1 }, /seed is -1/],
    [{ class: 1 } as object, /unknown option 'class'/],
  ])('refuses %j', async (options, message) => {
    await expect(prior.sample(options)).rejects.toThrow(message)
  })
})

describe.each(Object.entries(variants))('a prior with %s', (name, config) => {
  test('is saved, loaded and sampled from', async () => {
    const first = tinyPrior(device, config)
    const source = byteSource(await first.toSafetensors())
    const loaded = await priorFromCheckpoint(device, await openCheckpoint(source))
    const options = { ...(config.classes > 0 ? { classId: 1 } : {}), count: 2, steps: 2, seed: 3 }
    const images = await loaded.sample(options)
    expect(images.shape).toEqual([2, 1, 8, 8])
    expect(images.data).toEqual((await first.sample(options)).data)
    for (const p of [first, loaded]) p.dispose()
  })

  test('passes gradients of generated images to latents', async () => {
    const own = tinyPrior(device, config)
    const diffusion = resolveDiffusion({ steps: 2 })
    const g = scope(() => {
      const latents = ops.fill(device, [2, ...own.latentShape], 0.3).leaf()
      const ids = tensor(device, Int32Array.of(0, 0))
      const z = diffuse(own, latents, own.conditioning(ids), drawNoise(own, 2, diffusion, 1), diffusion)
      return grad(ops.sum(ops.square(own.decode(z))), [latents])[0]!
    })
    expect((await g.read()).some((v) => v !== 0)).toBe(true)
    g.dispose()
    own.dispose()
  })

  test('distils', async () => {
    const own = tinyPrior(device, config)
    const set = await distill({
      ...{ dataset: tinyDataset(), prior: own, objective: dm(), steps: 2, realBatch: 4 },
      student: convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 }),
      diffusion: { steps: 2 },
    })
    expect(set.images.shape).toEqual([2, 1, 8, 8])
    expect(distilledFromSafetensors(distilledToSafetensors(set))).toEqual(set)
    expect(set.conditioning!.shape).toEqual([2, name === 'an unconditional denoiser' ? 0 : 6])
    own.dispose()
  })
})

test('an unconditional prior has no classes', async () => {
  const own = tinyPrior(device, unconditional)
  await expect(own.sample({ classId: 0 })).rejects.toThrow(/prior is unconditional: leave it out/)
  const options = { dataset: tinyDataset(), prior: own, objective: dm() }
  await expect(distill({ ...options, learn: 'both' })).rejects.toThrow(
    /learn is 'both'.*latents are all that is learned here/,
  )
  await expect(distill({ ...options, priorClasses: [0, 1] })).rejects.toThrow(/priorClasses is \[0,1\].*leave it out/)
  own.dispose()
})
