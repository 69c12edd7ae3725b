import { beforeAll, describe, expect, test } from 'vitest'
import { grad, ops, planMemory, random, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { ddimSteps, diffuse, drawNoise, type Prior, resolveDiffusion } from '../../src/ld3m/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { tinyPrior } from '../support/tiny.ts'

let device: Device
let prior: Prior
beforeAll(async () => {
  device = await testDevice()
  prior = tinyPrior(device)
})

const latentsOf = (n: number) => random.normal(device, [n, ...prior.latentShape], { seed: 5, stream: 0 })
const conditioningOf = (n: number) =>
  prior.conditioning(
    tensor(
      device,
      Int32Array.from({ length: n }, (_, i) => i % 2),
    ),
  )

async function values(make: () => Tensor): Promise<Float32Array> {
  const t = scope(make)
  const data = await t.read()
  t.dispose()
  return data
}

test('an option of the diffusion that is undefined has its default', () => {
  expect(resolveDiffusion({ steps: undefined, checkpoint: undefined } as never)).toEqual(resolveDiffusion())
})

describe('the LD3M process', () => {
  test('with one step and no residual is one plain DDIM step', async () => {
    const diffusion = resolveDiffusion({ steps: 1, guidance: 1, residual: 'none' })
    const [step] = ddimSteps(1)
    if (!step) throw new Error('no step')
    const actual = await values(() => {
      const noise = drawNoise(prior, 2, diffusion, 9)
      return diffuse(prior, latentsOf(2), conditioningOf(2), noise, diffusion)
    })
    const expected = await values(() => {
      const { start } = drawNoise(prior, 2, diffusion, 9)
      const a = step.alphaBar
      const z = ops.add(ops.scale(latentsOf(2), 1.3 * Math.sqrt(a)), ops.scale(start, Math.sqrt(1 - a)))
      const e = prior.denoise(z, ops.fill(device, [2], step.timestep), conditioningOf(2))
      const x0 = ops.scale(ops.sub(z, ops.scale(e, Math.sqrt(1 - a))), 1 / Math.sqrt(a))
      const mixed = ops.add(ops.scale(x0, Math.sqrt(step.alphaBarPrev)), ops.scale(e, Math.sqrt(1 - step.alphaBarPrev)))
      return ops.scale(mixed, 1 / 1.3)
    })
    expectClose(actual, expected, 1e-4, 'z0')
  })

  test('repeats bit for bit with the same noise, whatever the chunk', async () => {
    const diffusion = resolveDiffusion({ steps: 3, eta: 0.5 })
    const whole = await values(() => {
      const noise = drawNoise(prior, 4, diffusion, 1)
      return diffuse(prior, latentsOf(4), conditioningOf(4), noise, diffusion)
    })
    const half = await values(() => {
      const { start, steps } = drawNoise(prior, 4, diffusion, 1)
      const cut = (t: Tensor) => ops.slice(t, 0, 2, 4)
      const noise = { start: cut(start), steps: steps.map(cut) }
      return diffuse(prior, cut(latentsOf(4)), cut(conditioningOf(4)), noise, diffusion)
    })
    expectClose(half, whole.subarray(whole.length / 2), 1e-5, 'second half')
  })

  test('gives the same gradients with and without checkpoints', async () => {
    const gradients = async (checkpoint: boolean | 'blocks') => {
      const diffusion = resolveDiffusion({ steps: 3, checkpoint })
      const [dz, dc] = scope(() => {
        const latents = latentsOf(2).leaf()
        const conditioning = conditioningOf(2).leaf()
        const z = diffuse(prior, latents, conditioning, drawNoise(prior, 2, diffusion, 1), diffusion)
        return grad(ops.sum(ops.square(z)), [latents, conditioning])
      }) as [Tensor, Tensor]
      return [await dz.read(), await dc.read()] as const
    }
    const plain = await gradients(false)
    for (const checkpoint of [true, 'blocks'] as const) {
      const again = await gradients(checkpoint)
      expectClose(again[0], plain[0], 1e-5, 'dL/dZ')
      expectClose(again[1], plain[1], 1e-5, 'dL/dc')
    }
  })

  test('needs less memory with a checkpoint a call, and least with one a block', () => {
    const peak = (checkpoint: boolean | 'blocks') => {
      const diffusion = resolveDiffusion({ steps: 3, checkpoint })
      const { peakBytes, beforeBytes } = planMemory(device, () =>
        scope(() => {
          const latents = latentsOf(64).leaf()
          const z = diffuse(prior, latents, conditioningOf(64), drawNoise(prior, 64, diffusion, 1), diffusion)
          return grad(ops.sum(ops.square(z)), [latents])
        }),
      )
      return peakBytes - beforeBytes
    }
    const [none, calls, blocks] = [peak(false), peak(true), peak('blocks')]
    expect(calls).toBeLessThan(0.5 * none)
    expect(blocks).toBeLessThan(0.7 * calls)
  })

  test('mixes the quantised latent into x₀ and guides, as written out by hand for two steps', async () => {
    const diffusion = resolveDiffusion({ steps: 2, guidance: 3 })
    const actual = await values(() => {
      const noise = drawNoise(prior, 2, diffusion, 4)
      return diffuse(prior, latentsOf(2), conditioningOf(2), noise, diffusion)
    })
    const expected = await values(() => {
      const steps = ddimSteps(2)
      const target = ops.scale(prior.quantize(latentsOf(2)), 1.3)
      const none = prior.conditioning(tensor(device, Int32Array.of(2, 2)))
      const { start } = drawNoise(prior, 2, diffusion, 4)
      const first = steps[0]?.alphaBar as number
      let z = ops.add(ops.scale(latentsOf(2), 1.3 * Math.sqrt(first)), ops.scale(start, Math.sqrt(1 - first)))
      for (const { timestep, alphaBar: a, alphaBarPrev: p, residualWeight: w } of steps) {
        const t = ops.fill(device, [2], timestep)
        const [ec, eu] = [prior.denoise(z, t, conditioningOf(2)), prior.denoise(z, t, none)]
        const e = ops.add(eu, ops.scale(ops.sub(ec, eu), 3))
        const x0 = ops.scale(ops.sub(z, ops.scale(e, Math.sqrt(1 - a))), 1 / Math.sqrt(a))
        const mixed = ops.add(ops.scale(x0, 1 - w), ops.scale(target, w))
        z = ops.add(ops.scale(mixed, Math.sqrt(p)), ops.scale(e, Math.sqrt(1 - p)))
      }
      return ops.scale(z, 1 / 1.3)
    })
    expectClose(actual, expected, 1e-4, 'z0')
  })

  test('mixes the noised latent into every step in the manner of Eq. 7, as written out by hand', async () => {
    const diffusion = resolveDiffusion({ steps: 3, guidance: 1, eta: 0.6, residual: 'paper' })
    const actual = await values(() => {
      const noise = drawNoise(prior, 2, diffusion, 4)
      return diffuse(prior, latentsOf(2), conditioningOf(2), noise, diffusion)
    })
    const expected = await values(() => {
      const steps = ddimSteps(3, 0.6)
      const { start, steps: noises } = drawNoise(prior, 2, diffusion, 4)
      const first = steps[0]?.alphaBar as number
      const zT = ops.add(ops.scale(latentsOf(2), 1.3 * Math.sqrt(first)), ops.scale(start, Math.sqrt(1 - first)))
      let z = zT
      for (const [i, { timestep, alphaBar: a, alphaBarPrev: p, sigma }] of steps.entries()) {
        const e = prior.denoise(z, ops.fill(device, [2], timestep), conditioningOf(2))
        const x0 = ops.scale(ops.sub(z, ops.scale(e, Math.sqrt(1 - a))), 1 / Math.sqrt(a))
        const mean = ops.add(ops.scale(x0, Math.sqrt(p)), ops.scale(e, Math.sqrt(1 - p - sigma ** 2)))
        // t = 3, 2, 1 of T = 3.
        const w = (3 - i) / 3
        const mixed = ops.add(ops.scale(mean, 1 - w), ops.scale(zT, w))
        z = ops.add(mixed, ops.scale(noises[i] as Tensor, sigma))
      }
      return ops.scale(z, 1 / 1.3)
    })
    expectClose(actual, expected, 1e-4, 'z0')
  })

  test.each([
    [{ steps: 0 }, /1 to 1000/],
    [{ eta: 2 }, /0 to 1/],
    [{ residual: 'eq7' as 'code' }, /one of code, paper, none/],
    [{ checkpoint: 'all' as 'blocks' }, /true, false or 'blocks'/],
    [{ guidence: 3 } as object, /unknown option 'guidence'/],
  ])('refuses %j', (options, message) => {
    expect(() => resolveDiffusion(options)).toThrow(message)
  })
})
