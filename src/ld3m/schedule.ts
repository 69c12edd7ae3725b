import { formatValue, optionError } from '../errors.ts'

/** Length of the training schedule of the latent diffusion model. */
export const TRAIN_TIMESTEPS = 1000

/**
 * The noise schedule of latent diffusion: β = linspace(√0.0015, √0.0195, 1000)², ᾱ = ∏(1 − β), in float64
 * (Rombach et al. 2022, class-conditional ImageNet configuration).
 */
export const alphasCumprod: Float64Array = (() => {
  const low = Math.sqrt(0.0015)
  const high = Math.sqrt(0.0195)
  const result = new Float64Array(TRAIN_TIMESTEPS)
  let product = 1
  for (let t = 0; t < TRAIN_TIMESTEPS; t++) {
    const root = low + ((high - low) * t) / (TRAIN_TIMESTEPS - 1)
    product *= 1 - root * root
    result[t] = product
  }
  return result
})()

/** One step of the reverse process. */
export interface DdimStep {
  /** Timestep τᵢ that the denoiser sees, 0…999. */
  readonly timestep: number
  /** ᾱ at τᵢ. */
  readonly alphaBar: number
  /** ᾱ at τᵢ₋₁; at the last step ᾱ₀ = 0.9985, not 1, as in latent diffusion. */
  readonly alphaBarPrev: number
  /** Weight w = i/(N−1) of the residual: 1 at the first step, 0 at the last (LD3M). */
  readonly residualWeight: number
  /** σ = η·√((1−ᾱₚ)/(1−ᾱ))·√(1−ᾱ/ᾱₚ) (Song et al. 2021, Eq. 16). */
  readonly sigma: number
}

/**
 * The steps of a DDIM process, in the order they run (from noise to image): exactly `steps` of them, evenly spaced
 * and offset by one as in latent diffusion. Where `steps` divides 1000, the timesteps are those of the original code;
 * where it does not, the original code runs more steps than asked for.
 * @param steps 1…1000
 * @param eta 0 (deterministic) … 1
 */
export function ddimSteps(steps: number, eta = 0): DdimStep[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > TRAIN_TIMESTEPS) {
    throw optionError(`diffusion.steps is ${formatValue(steps)}.`, `Use an integer from 1 to ${TRAIN_TIMESTEPS}.`)
  }
  if (!(typeof eta === 'number' && eta >= 0 && eta <= 1))
    throw optionError(`diffusion.eta is ${formatValue(eta)}.`, 'Use a number from 0 to 1.')
  const last = Math.floor(((steps - 1) * TRAIN_TIMESTEPS) / steps)
  const offset = Math.min(1, TRAIN_TIMESTEPS - 1 - last)
  const taus = Array.from({ length: steps }, (_, i) => Math.floor((i * TRAIN_TIMESTEPS) / steps) + offset)
  const at = (t: number) => alphasCumprod[t] as number
  return taus
    .map((timestep, i): DdimStep => {
      const alphaBar = at(timestep)
      const alphaBarPrev = i === 0 ? at(0) : at(taus[i - 1] as number)
      const sigma =
        eta === 0 ? 0 : eta * Math.sqrt((1 - alphaBarPrev) / (1 - alphaBar)) * Math.sqrt(1 - alphaBar / alphaBarPrev)
      // A single step is also the last one: pure model prediction.
      const residualWeight = steps === 1 ? 0 : i / (steps - 1)
      return { timestep, alphaBar, alphaBarPrev, residualWeight, sigma }
    })
    .reverse()
}
