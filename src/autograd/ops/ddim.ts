import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp } from '../op.ts'
import { formatShape, sameShape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { scale } from './arithmetic.ts'

export const ddimCombineOp = defineOp<{ readonly coefficients: readonly number[] }>({
  name: 'ddimCombine',
  shape(inputs, { coefficients }) {
    const { shape } = inputs[0] as Tensor
    for (const [i, x] of inputs.entries()) {
      if (!sameShape(x.shape, shape)) {
        throw shapeError(
          `ddimStep: tensor ${i} has shape ${formatShape(x.shape)}, z has ${formatShape(shape)}.`,
          'All tensors of a step have one shape.',
        )
      }
    }
    if (inputs.length > kernels.MAX_TERMS || coefficients.length !== inputs.length) {
      throw optionError(
        `ddimCombine: ${inputs.length} terms with ${coefficients.length} coefficients.`,
        `Give one coefficient a term, and at most ${kernels.MAX_TERMS}.`,
      )
    }
    return shape
  },
  forward: (device, inputs, { coefficients }) =>
    kernels.linearCombination(
      device,
      inputs.map((x) => x.buffer),
      coefficients,
      (inputs[0] as Tensor).size,
    ),
  saves: [],
  vjp: ({ grad, needs, attrs }) =>
    needs.map((need, i) => (need ? scale(grad, attrs.coefficients[i] as number) : undefined)),
})

/** The tensors of a step, all of one shape. */
export interface DdimInputs {
  /** The latent before the step. */
  z: Tensor
  /** The noise that the conditional model predicts. */
  eps: Tensor
  /** The noise that the unconditional model predicts; needed where guidance ≠ 1. */
  epsUncond?: Tensor | undefined
  /** What the predicted clean latent is drawn to; needed where residualWeight ≠ 0. */
  residual?: Tensor | undefined
  /** Standard normal; needed where sigma ≠ 0. */
  noise?: Tensor | undefined
}

export interface DdimStepOptions {
  /** ᾱ of the timestep of z, in (0, 1). */
  alphaBar: number
  /** ᾱ of the timestep after the step, in (0, 1]. */
  alphaBarPrev: number
  /** s. Default 1. */
  guidance?: number
  /** w. Default 0. */
  residualWeight?: number
  /** σ, at most √(1 − ᾱ of the timestep after the step). Default 0: deterministic. */
  sigma?: number
}

/**
 * One step of DDIM sampling (Song et al. 2021, Eq. 12) with classifier-free guidance and LD3M's residual, in one
 * kernel:
 *
 *     e  = eᵤ + s·(e꜀ − eᵤ)
 *     x₀ = (1 − w)·(z − √(1−ᾱ)·e)/√ᾱ + w·residual
 *     z′ = √ᾱₚ·x₀ + √(1 − ᾱₚ − σ²)·e + σ·noise
 *
 * @throws Ld3mError `option` if a coefficient is out of range, or if it and its tensor do not go together
 */
export function ddimStep(inputs: DdimInputs, options: DdimStepOptions): Tensor {
  rejectUnknownOptions('ddimStep', inputs, ['z', 'eps', 'epsUncond', 'residual', 'noise'])
  rejectUnknownOptions('ddimStep', options, ['alphaBar', 'alphaBarPrev', 'guidance', 'residualWeight', 'sigma'])
  const { z, eps, epsUncond, residual, noise } = inputs
  const { alphaBar, alphaBarPrev, guidance = 1, residualWeight = 0, sigma = 0 } = options
  if (!(alphaBar > 0 && alphaBar < 1 && alphaBarPrev > 0 && alphaBarPrev <= 1)) {
    throw optionError(
      `ddimStep: alphaBar is ${alphaBar}, alphaBarPrev ${alphaBarPrev}.`,
      'Use cumulative products of the noise schedule, between 0 and 1.',
    )
  }
  const direction = 1 - alphaBarPrev - sigma ** 2
  if (!(sigma >= 0 && direction >= 0)) {
    throw optionError(`ddimStep: sigma is ${sigma}.`, `Use 0 to √(1 − alphaBarPrev) = ${Math.sqrt(1 - alphaBarPrev)}.`)
  }
  checkPair('epsUncond', epsUncond, 'guidance', guidance, 1)
  checkPair('residual', residual, 'residualWeight', residualWeight, 0)
  checkPair('noise', noise, 'sigma', sigma, 0)
  const ofClean = Math.sqrt(alphaBarPrev) * (1 - residualWeight)
  const ofEps = Math.sqrt(direction) - ofClean * Math.sqrt((1 - alphaBar) / alphaBar)
  const terms: [Tensor | undefined, number][] = [
    [z, ofClean / Math.sqrt(alphaBar)],
    [eps, epsUncond ? guidance * ofEps : ofEps],
    [epsUncond, (1 - guidance) * ofEps],
    [residual, Math.sqrt(alphaBarPrev) * residualWeight],
    [noise, sigma],
  ]
  const given = terms.filter((term): term is [Tensor, number] => term[0] !== undefined)
  return ddimCombineOp.apply(
    given.map(([x]) => x),
    { coefficients: given.map(([, c]) => c) },
  )
}

function checkPair(name: string, x: Tensor | undefined, option: string, value: number, without: number): void {
  if (!Number.isFinite(value)) throw optionError(`ddimStep: ${option} is ${value}.`, 'Use a finite number.')
  if (!x && value !== without) {
    throw optionError(
      `ddimStep: ${option} is ${value}, but ${name} is missing.`,
      `Pass it, or set ${option} to ${without}.`,
    )
  }
}
