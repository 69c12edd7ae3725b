import { grad, noGrad, ops, planMemory, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { drawNoise, generate, Prior, type PriorConfig, resolveDiffusion } from '../../src/ld3m/index.ts'
import { autoencoder, type Module, type StateDict, unet } from '../../src/models/index.ts'

/** mulberry32, as in test/golden/make_goldens.py: PyTorch draws the same numbers. */
function values(seed: number, count: number, low: number, high: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(count)
  let state = seed >>> 0
  for (let i = 0; i < count; i++) {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    result[i] = low + (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * (high - low)
  }
  return result
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Random frozen parameters; parameter k in order of name draws from seed + k. One tensor is on the host at a time. */
async function draw(
  device: Device,
  module: Pick<Module, 'parameters'>,
  seed: number,
  half: boolean,
): Promise<StateDict> {
  const state: Record<string, Tensor> = {}
  for (const [k, name] of Object.keys(module.parameters).sort().entries()) {
    const { shape, half: mayBeHalf = false } = module.parameters[name] as Module['parameters'][string]
    const bound = 1 / Math.sqrt(shape.length > 1 ? sizeOf(shape.slice(1)) : sizeOf(shape))
    const data = values(seed + k, sizeOf(shape), -bound, bound)
    if (shape.length === 1 && name.endsWith('weight')) for (let i = 0; i < data.length; i++) data[i] = data[i]! + 1
    state[name] = tensor(device, data, { shape, dtype: half && mayBeHalf ? 'f16' : 'f32' })
    if (k % 64 === 63) await device.synchronize()
  }
  return state
}

/** A prior of the given architecture with random weights. */
export async function randomPrior(device: Device, config: PriorConfig, half: boolean): Promise<Prior> {
  const dim = config.denoiser.contextDim as number
  const prior = new Prior(
    device,
    config,
    await draw(device, autoencoder(config.autoencoder), 300, half),
    await draw(device, unet(config.denoiser), 200, half),
    tensor(device, values(4, dim, -2, 2), { shape: [1, dim] }),
  )
  await device.synchronize()
  device.trim()
  return prior
}

/** A piece of work and its results: an output, then the gradients of its product with draws, if any. */
export interface PriorWork {
  readonly name: string
  readonly run: () => Tensor[]
}

/** What a distillation does with a prior, for one image. torch_prior.py has the same by the same names. */
export function priorWorks(prior: Prior): PriorWork[] {
  const { device } = prior
  const [c, side] = prior.latentShape
  const dim = prior.config.denoiser.contextDim as number
  const latent = () => tensor(device, values(1, c * side * side, -2, 2), { shape: [1, c, side, side] })
  const conditioning = () => tensor(device, values(2, dim, -2, 2), { shape: [1, dim] })
  const at = (n: number) => ops.fill(device, [n], 501)

  const plain = (f: (...xs: Tensor[]) => Tensor, inputs: () => Tensor[]) => () =>
    scope(() => noGrad(() => [f(...inputs())]))
  const withGradients = (f: (...xs: Tensor[]) => Tensor, inputs: () => Tensor[]) => () =>
    scope(() => {
      const leaves = inputs().map((x) => x.leaf())
      const y = f(...leaves)
      const gradOutput = tensor(device, values(3, y.size, -1, 1), { shape: y.shape })
      return [y, ...grad(y, leaves, { gradOutput })]
    })

  const predict = (z: Tensor, context: Tensor) => prior.denoise(z, at(1), context)
  const guided = (blocks: boolean) => (z: Tensor, context: Tensor) => {
    const contexts = ops.concat([prior.embedding, context], 0)
    const both = prior.denoise(ops.concat([z, z], 0), at(2), contexts, { checkpoint: blocks })
    const [none, own] = [ops.slice(both, 0, 0, 1), ops.slice(both, 0, 1, 2)]
    return ops.add(none, ops.scale(ops.sub(own, none), 3))
  }
  const decode = (z: Tensor) => prior.decode(z)
  const inputs = () => [latent(), conditioning()]
  return [
    { name: 'predict', run: plain(predict, inputs) },
    { name: 'predict, with gradients', run: withGradients(predict, inputs) },
    { name: 'predict with guidance, with gradients', run: withGradients(guided(false), inputs) },
    { name: 'predict with guidance, with gradients, block by block', run: withGradients(guided(true), inputs) },
    { name: 'decode', run: plain(decode, () => [latent()]) },
    { name: 'decode, with gradients', run: withGradients(decode, () => [latent()]) },
  ]
}

/** The peak of memory of one image's ten guided steps and its decoding, forth and back to latent and conditioning. */
export function plannedPeak(prior: Prior, checkpoint: boolean | 'blocks'): number {
  const { device } = prior
  const [c, side] = prior.latentShape
  const dim = prior.config.denoiser.contextDim as number
  const diffusion = resolveDiffusion({ steps: 10, checkpoint })
  const { peakBytes } = planMemory(device, () =>
    scope(() => {
      const latents = ops.fill(device, [1, c, side, side], 0).leaf()
      const conditioning = ops.fill(device, [1, dim], 0).leaf()
      const images = generate(prior, latents, conditioning, drawNoise(prior, 1, diffusion, 0), diffusion)
      return grad(ops.sum(ops.square(images)), [latents, conditioning])
    }),
  )
  return peakBytes
}
