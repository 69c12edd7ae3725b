import { HostRandom, ops, random, type Tensor, tensor } from '../autograd/index.ts'
import type { Device } from '../gpu/index.ts'
import { type HostTensor, initialize, Params, type StateDict, type UnetOptions, unet } from '../models/index.ts'
import { alphasCumprod, TRAIN_TIMESTEPS } from './schedule.ts'
import { perSample, Trainer, type TrainerHooks } from './trainer.ts'

export interface DenoiserTraining {
  /** Optimiser steps. */
  steps: number
  /** Latents a step. */
  batch: number
  /** Initial learning rate of Adam; it falls linearly to a hundredth. */
  learningRate: number
  /** Decay of the moving average of the parameters, whose result is kept. */
  emaDecay: number
  /** Share of samples whose class is replaced by "no class", for classifier-free guidance. */
  conditionDropout: number
}

/** What a step is taken on. */
interface NoisyLatents {
  /** [batch, c, h, w]. */
  readonly latents: Float32Array
  /** Class of each, or `classes` for none. */
  readonly ids: Int32Array
  readonly timesteps: readonly number[]
  readonly noiseSeed: number
}

/** Name of the class embedding among the denoiser's trained parameters. */
export const EMBEDDING = 'class_embedding.weight'

/**
 * A trainer for a class-conditional denoiser of latents: predicts the noise at a random timestep under the schedule of
 * `alphasCumprod`, mean squared error (Ho et al. 2020, Eq. 14).
 * @param latents scaled to unit variance, [N, c, h, w]
 * @param labels class of each, 0…classes − 1
 */
export function denoiserTrainer(
  device: Device,
  latents: HostTensor,
  labels: ArrayLike<number>,
  classes: number,
  config: UnetOptions,
  { steps, batch, learningRate, emaDecay, conditionDropout }: DenoiserTraining,
  seed: number,
  rest: TrainerHooks & { recipe: object },
): { trainer: Trainer<NoisyLatents>; state: StateDict } {
  const denoiser = unet(config)
  // Recipes are checked before.
  const contextDim = config.contextDim as number
  const embedding = { shape: [classes + 1, contextDim], init: { kind: 'normal', std: 1 } } as const
  const module = { parameters: { ...denoiser.parameters, [EMBEDDING]: embedding } }
  const state = initialize(device, module, { seed: (seed + 1) % 2 ** 32 })
  const params = new Params(state)
  const [count, ...shape] = latents.shape as [number, ...number[]]
  const size = shape.reduce((a, b) => a * b, 1)

  const trainer = new Trainer<NoisyLatents>({
    ...rest,
    name: 'denoiser',
    device,
    parameters: state,
    steps,
    emaDecay,
    learningRate: (step) => learningRate * Math.max(0.01, 1 - step / steps),
    batch: async (step) => {
      const draws = new HostRandom({ seed, stream: 3 }).fork(`denoiser ${step}`)
      const chosen = new Float32Array(batch * size)
      const ids = new Int32Array(batch)
      const timesteps: number[] = []
      for (let i = 0; i < batch; i++) {
        const j = draws.integer(count)
        chosen.set(latents.data.subarray(j * size, (j + 1) * size), i * size)
        ids[i] = draws.uniform() < conditionDropout ? classes : (labels[j] as number)
        timesteps.push(draws.integer(TRAIN_TIMESTEPS))
      }
      return { latents: chosen, ids, timesteps, noiseSeed: draws.integer(2 ** 32) }
    },
    blank: () => ({
      ...{ latents: new Float32Array(batch * size), ids: new Int32Array(batch), noiseSeed: 0 },
      timesteps: Array.from({ length: batch }, () => 0),
    }),
    loss: ({ latents: chosen, ids, timesteps, noiseSeed }) => {
      const alphaBar = timesteps.map((t) => alphasCumprod[t] as number)
      const z0 = tensor(device, chosen, { shape: [batch, ...shape] })
      const noise = random.normal(device, [batch, ...shape], { seed: noiseSeed, stream: 0 })
      const z = ops.add(
        ops.mul(z0, perSample(device, alphaBar.map(Math.sqrt))),
        ops.mul(
          noise,
          perSample(
            device,
            alphaBar.map((a) => Math.sqrt(1 - a)),
          ),
        ),
      )
      const context = ops.reshape(ops.gather(state[EMBEDDING] as Tensor, tensor(device, ids)), [batch, 1, contextDim])
      const predicted = denoiser.apply(params, z, tensor(device, timesteps), context)
      return ops.mean(ops.square(ops.sub(predicted, noise)))
    },
  })
  return { trainer, state }
}
