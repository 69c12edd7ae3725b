import { checkpoint, ops, random, scope, type Tensor, tensor } from '../autograd/index.ts'
import { formatValue, givenOptions, optionError, rejectUnknownOptions } from '../errors.ts'
import { oneOf } from './options.ts'
import type { Prior } from './prior.ts'
import { type DdimStep, ddimSteps, TRAIN_TIMESTEPS } from './schedule.ts'

const RESIDUALS = ['code', 'paper', 'none'] as const

export interface DiffusionOptions {
  /** DDIM steps, 1…1000. Default 10, as the paper for 128×128. */
  steps?: number
  /**
   * Classifier-free guidance scale s: e = eᵤ + s·(e_c − eᵤ); 1 turns guidance (and half the work) off,
   * which an unconditional prior has none of. Default 3.
   */
  guidance?: number
  /** Noise of the reverse process, 0 (deterministic) … 1. Default 0. */
  eta?: number
  /**
   * What is mixed into every step so that gradients reach the latents: 'code', the quantised clean latent into the
   * predicted x₀ with weight i/(N−1), as in the authors' code; 'paper', the noised latent z_T into the step's result
   * with weight t/T (Eq. 7), which at ten steps carries 3 % of the latents' gradient; 'none', plain DDIM. Default 'code'.
   */
  residual?: (typeof RESIDUALS)[number]
  /**
   * Recompute each denoiser call in the backward pass instead of keeping its activations; with 'blocks', one block after
   * the other, which takes a third forward pass and a fraction of a call's activations. Default false.
   */
  checkpoint?: boolean | 'blocks'
}

export type ResolvedDiffusion = Required<DiffusionOptions>

const DEFAULTS: ResolvedDiffusion = { steps: 10, guidance: 3, eta: 0, residual: 'code', checkpoint: false }

/** Fills in defaults and checks ranges. */
export function resolveDiffusion(options: DiffusionOptions = {}): ResolvedDiffusion {
  rejectUnknownOptions('diffusion', options, Object.keys(DEFAULTS))
  const resolved = { ...DEFAULTS, ...givenOptions(options) }
  ddimSteps(resolved.steps, resolved.eta)
  if (!Number.isFinite(resolved.guidance)) {
    throw optionError(`diffusion.guidance is ${formatValue(resolved.guidance)}.`, 'Use a number; 1 turns guidance off.')
  }
  oneOf('diffusion', 'residual', resolved.residual, RESIDUALS)
  if (typeof resolved.checkpoint !== 'boolean' && resolved.checkpoint !== 'blocks') {
    throw optionError(`diffusion.checkpoint is ${resolved.checkpoint}.`, "Use true, false or 'blocks'.")
  }
  return resolved
}

/** Of a seed, `drawNoise` has the streams 0 to 1000; whoever draws latents with the same seed takes this one. */
export const LATENTS_STREAM = TRAIN_TIMESTEPS + 1

/** Standard normal noise of one sampling phase. */
export interface ProcessNoise {
  /** ε that noises the latents to the first timestep: [N, c, h, w]. */
  readonly start: Tensor
  /** Noise of each step, in the order they run; empty if eta is 0. */
  readonly steps: readonly Tensor[]
}

/**
 * Draws the noise for `count` images. Keep it for the whole sampling phase: the pass that draws images for the loss
 * and the pass that is differentiated must see the same noise.
 */
export function drawNoise(prior: Prior, count: number, options: ResolvedDiffusion, seed: number): ProcessNoise {
  const shape = [count, ...prior.latentShape]
  const noise = (stream: number) => random.normal(prior.device, shape, { seed, stream })
  const steps = options.eta > 0 ? Array.from({ length: options.steps }, (_, i) => noise(i + 1)) : []
  return { start: noise(0), steps }
}

/** The noise of images `first` to `end` − 1. */
export const sliceNoise = ({ start, steps }: ProcessNoise, first: number, end: number): ProcessNoise => ({
  start: ops.slice(start, 0, first, end),
  steps: steps.map((s) => ops.slice(s, 0, first, end)),
})

/**
 * The LD3M process: noises the latents to the first timestep and denoises them, with what `residual` names mixed into
 * every step, with a weight that falls from 1 to 0 ('paper': to 1/T).
 * @param latents Z: [N, c, h, w], before quantisation
 * @param conditioning c: [N, contextDim]
 * @returns z₀: [N, c, h, w], unscaled, to be decoded
 */
export function diffuse(
  prior: Prior,
  latents: Tensor,
  conditioning: Tensor,
  noises: ProcessNoise,
  options: ResolvedDiffusion,
): Tensor {
  const { latentScale, classes } = prior.config
  const { device } = prior
  const [n] = latents.shape as [number]
  const steps = ddimSteps(options.steps, options.eta)
  const guided = options.guidance !== 1 && prior.conditional
  const unconditional = guided ? prior.conditioning(tensor(device, new Int32Array(n).fill(classes))) : undefined
  const residual = options.residual === 'code' ? ops.scale(prior.quantize(latents), latentScale) : undefined

  const blocks = { checkpoint: options.checkpoint === 'blocks' }
  const start = steps[0] as DdimStep
  let z = ops.add(
    ops.scale(latents, latentScale * Math.sqrt(start.alphaBar)),
    ops.scale(noises.start, Math.sqrt(1 - start.alphaBar)),
  )
  const noised = z
  const advance = (z: Tensor, step: DdimStep, i: number): Tensor => {
    // A checkpoint computes this again when the tensors around it are freed: all that it reads are arguments.
    const denoise = (z: Tensor, c: Tensor, unconditional?: Tensor): Tensor => {
      const batch = guided ? 2 * n : n
      const timestep = ops.fill(device, [batch], step.timestep)
      if (!unconditional) return prior.denoise(z, timestep, c, blocks)
      return prior.denoise(ops.concat([z, z], 0), timestep, ops.concat([unconditional, c], 0), blocks)
    }
    const eps = options.checkpoint
      ? checkpoint(denoise, unconditional ? [z, conditioning, unconditional] : [z, conditioning])
      : denoise(z, conditioning, unconditional)
    const noise = step.sigma > 0 ? (noises.steps[i] as Tensor) : undefined
    const next = ops.ddimStep(
      {
        z,
        eps: guided ? ops.slice(eps, 0, n, 2 * n) : eps,
        ...(guided ? { epsUncond: ops.slice(eps, 0, 0, n) } : {}),
        ...(residual ? { residual } : {}),
        ...(noise ? { noise } : {}),
      },
      {
        alphaBar: step.alphaBar,
        alphaBarPrev: step.alphaBarPrev,
        guidance: guided ? options.guidance : 1,
        residualWeight: residual ? step.residualWeight : 0,
        sigma: step.sigma,
      },
    )
    if (options.residual !== 'paper') return next
    // Eq. 7: (1 − t/T)·μ + (t/T)·z_T + σ·ε, where `next` is μ + σ·ε.
    const weight = (steps.length - i) / steps.length
    const kept = noise ? ops.add(noised, ops.scale(noise, step.sigma)) : noised
    return ops.add(ops.scale(next, 1 - weight), ops.scale(kept, weight))
  }
  // A scope a step: what the graph does not need is freed as soon as the step is done.
  for (const [i, step] of steps.entries()) z = scope(() => advance(z, step, i))
  return ops.scale(z, 1 / latentScale)
}

/** Images [N, C, H, W], about in [−1, 1], of the process. */
export function generate(
  prior: Prior,
  latents: Tensor,
  conditioning: Tensor,
  noise: ProcessNoise,
  options: ResolvedDiffusion,
): Tensor {
  return prior.decode(diffuse(prior, latents, conditioning, noise, options))
}
