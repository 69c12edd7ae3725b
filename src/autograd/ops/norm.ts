import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { gradientByRecording } from '../decompose.ts'
import { defineOp, type VjpContext } from '../op.ts'
import { scope } from '../scope.ts'
import { expectShape, formatShape, type Shape, sameShape, sizeOf } from '../shape.ts'
import { noGrad, type Tensor } from '../tensor.ts'
import { add, mul, neg, square, sub } from './arithmetic.ts'
import { mean } from './mean.ts'
import { reshape } from './reshape.ts'
import { sum } from './sum.ts'
import { reluGradOp, rsqrt, siluGradOp } from './unary.ts'

// The family is closed: without activation, the gradients of groupNorm, groupNormInputGrad and groupNormWeightGrad are
// each other and groupNormSecondGrad, one fused kernel each. `stats`, the statistics of x that the forward pass saved,
// is an input of the gradients only so that they need not be computed again: a function of x, not a variable of its
// own, so what would flow through it is counted in the gradient with respect to x.

export interface NormAttrs {
  /** Groups of channels; the number of channels for instance norm. */
  readonly groups: number
  readonly eps: number
  readonly activation: kernels.Activation
}

function sizesOf(shape: Shape, { groups }: NormAttrs): kernels.NormSizes {
  const [samples, channels, ...spatial] = shape as [number, number, ...number[]]
  return { samples, channels, inner: sizeOf(spatial), groups }
}

const epilogueOf = (weight: Tensor | undefined, bias: Tensor | undefined, { activation }: NormAttrs) => ({
  weight: weight?.buffer,
  bias: bias?.buffer,
  activation,
})

/** Checks x: [N, C, ...spatial] and the inputs that belong to it. */
function checkNorm(name: string, x: Tensor, { groups, eps }: NormAttrs, weight?: Tensor, bias?: Tensor): void {
  if (x.rank < 2 || x.size === 0) {
    throw shapeError(
      `${name}: x has shape ${formatShape(x.shape)}; expected [N, C, ...spatial], not empty.`,
      'Reshape.',
    )
  }
  const channels = x.shape[1] as number
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw optionError(
      `${name}: ${groups} groups do not divide ${channels} channels.`,
      'Choose a number of groups that divides the number of channels.',
    )
  }
  if (!(eps > 0)) throw optionError(`${name}: eps is ${eps}; it must be above 0.`, 'The usual value is 1e-5.')
  if (weight) expectShape(`${name}: weight`, weight.shape, [channels])
  if (bias) expectShape(`${name}: bias`, bias.shape, [channels])
}

function checkGradient(name: string, what: string, g: Tensor, x: Tensor): void {
  if (!sameShape(g.shape, x.shape)) {
    throw shapeError(
      `${name}: ${what} has shape ${formatShape(g.shape)}, x has ${formatShape(x.shape)}.`,
      'They must be equal.',
    )
  }
}

const checkStats = (name: string, stats: Tensor, x: Tensor, { groups }: NormAttrs): void =>
  expectShape(`${name}: stats`, stats.shape, [(x.shape[0] as number) * groups, 2])

/** A [C] tensor as one that broadcasts with [N, C, ...spatial]. */
const perChannel = (w: Tensor, rank: number): Tensor => reshape(w, [w.size, ...new Array<number>(rank - 2).fill(1)])

/** Σ over samples and positions: [N, C, ...spatial] to [C]. */
const sumPerChannel = (x: Tensor): Tensor => sum(x, [0, ...x.shape.slice(2).map((_, i) => i + 2)])

/** The inputs of an op, each at its place in the graph. */
const inputsOf = (context: VjpContext<NormAttrs>): Tensor[] => context.shapes.map((_, i) => context.input(i))

export const groupNormOp = defineOp<NormAttrs>({
  name: 'groupNorm',
  shape([x, weight, bias], attrs) {
    checkNorm('groupNorm', x as Tensor, attrs, weight, bias)
    return (x as Tensor).shape
  },
  forward(device, [x, weight, bias], attrs, shape) {
    const sizes = sizesOf(shape, attrs)
    const { y, stats } = kernels.norm(device, (x as Tensor).buffer, sizes, epilogueOf(weight, bias, attrs), attrs.eps)
    return { output: y, extras: [{ buffer: stats, shape: [sizes.samples * sizes.groups, 2] }] }
  },
  saves: [0, 1, 2, 'extras'],
  vjp(context) {
    const { grad, needs, shapes, attrs } = context
    const x = context.input(0)
    const stats = context.extra(0)
    const weight = shapes.length > 1 ? context.input(1) : undefined
    const bias = shapes.length > 2 ? context.input(2) : undefined
    return [
      needs[0] ? inputGrad(grad, x, stats, weight, bias, attrs) : undefined,
      needs[1] ? weightGrad('weight', grad, x, stats, weight, bias, attrs) : undefined,
      needs[2] ? weightGrad('bias', grad, x, stats, weight, bias, attrs) : undefined,
    ]
  },
})

/** g, x, stats, then of the weight and the bias what the gradient reads. */
function gradInputs(
  g: Tensor,
  x: Tensor,
  stats: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
): Tensor[] {
  return weight ? (bias ? [g, x, stats, weight, bias] : [g, x, stats, weight]) : [g, x, stats]
}

const inputGrad = (
  g: Tensor,
  x: Tensor,
  stats: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  attrs: NormAttrs,
): Tensor =>
  groupNormInputGradOp.apply(gradInputs(g, x, stats, weight, attrs.activation === 'none' ? undefined : bias), attrs)

const weightGrad = (
  of: 'weight' | 'bias',
  g: Tensor,
  x: Tensor,
  stats: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  attrs: NormAttrs,
): Tensor =>
  groupNormWeightGradOp.apply(attrs.activation === 'none' ? [g, x, stats] : gradInputs(g, x, stats, weight, bias), {
    ...attrs,
    of,
  })

/** The gradient of activation(z) with respect to z = groupNorm(x), recorded. */
function beforeActivation(g: Tensor, x: Tensor, params: readonly Tensor[], attrs: NormAttrs): Tensor {
  if (attrs.activation === 'none') return g
  const plain: NormAttrs = { ...attrs, activation: 'none' }
  if (attrs.activation === 'silu') return siluGradOp.apply([g, groupNormOp.apply([x, ...params], plain)], {})
  // The second derivative of ReLU is zero: nothing flows back through z.
  return reluGradOp.apply([g, noGrad(() => groupNormOp.apply([x, ...params], plain))], {})
}

export const groupNormInputGradOp = defineOp<NormAttrs>({
  name: 'groupNormInputGrad',
  shape([g, x, stats, weight, bias], attrs) {
    checkNorm('groupNormInputGrad', x as Tensor, attrs, weight, bias)
    checkGradient('groupNormInputGrad', 'g', g as Tensor, x as Tensor)
    checkStats('groupNormInputGrad', stats as Tensor, x as Tensor, attrs)
    return (x as Tensor).shape
  },
  forward: (device, [g, x, stats, weight, bias], attrs, shape) =>
    kernels.normInputGrad(
      device,
      (g as Tensor).buffer,
      (x as Tensor).buffer,
      (stats as Tensor).buffer,
      sizesOf(shape, attrs),
      epilogueOf(weight, bias, attrs),
    ),
  saves: [0, 1, 2, 3, 4],
  vjp(context) {
    const { grad, needs, shapes, attrs } = context
    const inputs = inputsOf(context)
    if (attrs.activation !== 'none') {
      const plain: NormAttrs = { ...attrs, activation: 'none' }
      return gradientByRecording(
        (g, x, stats, ...params) =>
          inputGrad(beforeActivation(g, x, params, attrs), x, stats, params[0], undefined, plain),
        inputs,
        context,
      )
    }
    const [g, x, stats, weight] = inputs as [Tensor, Tensor, Tensor, Tensor | undefined]
    // x ↦ r·P(x) is its own adjoint: the gradient that arrives goes the same way, without the weight.
    const [ofG, ofWeight] = scope(() => {
      if (!needs[0] && !needs[3]) return []
      const back = inputGrad(grad, x, stats, undefined, undefined, attrs)
      // One after the other, so that one product is there at a time.
      const ofWeight = needs[3] ? scope(() => sumPerChannel(mul(g, back))) : undefined
      return [needs[0] ? (weight ? mul(back, perChannel(weight, x.rank)) : back) : undefined, ofWeight]
    })
    const second = () => groupNormSecondGradOp.apply(weight ? [grad, g, x, stats, weight] : [grad, g, x, stats], attrs)
    return [ofG, needs[1] ? second() : undefined, undefined, ofWeight].slice(0, shapes.length)
  },
})

export const groupNormWeightGradOp = defineOp<NormAttrs & { readonly of: 'weight' | 'bias' }>({
  name: 'groupNormWeightGrad',
  shape([g, x, stats, weight, bias], attrs) {
    checkNorm('groupNormWeightGrad', x as Tensor, attrs, weight, bias)
    checkGradient('groupNormWeightGrad', 'g', g as Tensor, x as Tensor)
    checkStats('groupNormWeightGrad', stats as Tensor, x as Tensor, attrs)
    return [(x as Tensor).shape[1] as number]
  },
  forward: (device, [g, x, stats, weight, bias], attrs) =>
    kernels.normWeightGrad(
      device,
      attrs.of,
      (g as Tensor).buffer,
      (x as Tensor).buffer,
      (stats as Tensor).buffer,
      sizesOf((x as Tensor).shape, attrs),
      epilogueOf(weight, bias, attrs),
    ),
  saves: [0, 1, 2, 3, 4],
  vjp(context) {
    const { grad, needs, shapes, attrs } = context
    const inputs = inputsOf(context)
    if (attrs.activation !== 'none' || attrs.of === 'bias') {
      const plain: NormAttrs = { ...attrs, activation: 'none' }
      return gradientByRecording(
        (g, x, stats, ...params) => {
          const h = beforeActivation(g, x, params, attrs)
          return attrs.of === 'bias' ? sumPerChannel(h) : weightGrad('weight', h, x, stats, undefined, undefined, plain)
        },
        inputs,
        context,
      )
    }
    const [g, x, stats] = inputs as [Tensor, Tensor, Tensor]
    // ⟨v, Σ g·x̂⟩ is linear in g with factor v·x̂: the norm with v for its weight.
    return [
      needs[0] ? groupNormOp.apply([x, grad], attrs) : undefined,
      needs[1] ? inputGrad(g, x, stats, grad, undefined, attrs) : undefined,
      ...new Array<undefined>(shapes.length - 2).fill(undefined),
    ]
  },
})

/** What groupNormSecondGrad computes, in ops. */
function secondGradInOps(u: Tensor, g: Tensor, x: Tensor, weight: Tensor | undefined, attrs: NormAttrs): Tensor {
  const { samples, groups } = sizesOf(x.shape, attrs)
  const flat = (t: Tensor) => reshape(t, [samples * groups, -1])
  const average = (t: Tensor) => mean(t, 1, { keepDims: true })
  const h = flat(weight ? mul(g, perChannel(weight, x.rank)) : g)
  const centred = sub(flat(x), average(flat(x)))
  const r = rsqrt(add(average(square(centred)), attrs.eps))
  const normalised = mul(centred, r)
  const meanU = average(flat(u))
  const meanH = average(h)
  const a = average(mul(flat(u), normalised))
  const b = average(mul(h, normalised))
  const joint = sub(sub(average(mul(flat(u), h)), mul(meanU, meanH)), mul(a, b))
  const projectedU = sub(sub(flat(u), meanU), mul(normalised, a))
  const projectedH = sub(sub(h, meanH), mul(normalised, b))
  const inner = add(add(mul(normalised, joint), mul(b, projectedU)), mul(a, projectedH))
  return reshape(neg(mul(square(r), inner)), x.shape)
}

export const groupNormSecondGradOp = defineOp<NormAttrs>({
  name: 'groupNormSecondGrad',
  shape([u, g, x, stats, weight], attrs) {
    checkNorm('groupNormSecondGrad', x as Tensor, attrs, weight)
    checkGradient('groupNormSecondGrad', 'u', u as Tensor, x as Tensor)
    checkGradient('groupNormSecondGrad', 'g', g as Tensor, x as Tensor)
    checkStats('groupNormSecondGrad', stats as Tensor, x as Tensor, attrs)
    return (x as Tensor).shape
  },
  forward: (device, [u, g, x, stats, weight], attrs, shape) =>
    kernels.normSecondGrad(
      device,
      (u as Tensor).buffer,
      (g as Tensor).buffer,
      (x as Tensor).buffer,
      (stats as Tensor).buffer,
      weight?.buffer,
      sizesOf(shape, attrs),
    ),
  saves: [0, 1, 2, 3, 4],
  vjp: (context) =>
    gradientByRecording(
      (u, g, x, _, weight) => secondGradInOps(u, g, x, weight, context.attrs),
      inputsOf(context),
      context,
    ),
})

export interface GroupNormOptions {
  /** Divides the number of channels. */
  groups: number
  /** Scale of each channel: [C]. Default 1. */
  weight?: Tensor | undefined
  /** Shift of each channel: [C]; needs a weight. Default 0. */
  bias?: Tensor | undefined
  /** Added to the variance. Default 1e-5. */
  eps?: number
  /** An activation computed in the same kernel. Default none. */
  activation?: 'silu' | 'relu'
}

function applyNorm(name: string, x: Tensor, options: GroupNormOptions): Tensor {
  const { groups, weight, bias, eps = 1e-5, activation = 'none' } = options
  if (bias && !weight) {
    throw optionError(`${name}: there is a bias but no weight.`, 'Pass both, or a weight of ones with it.')
  }
  const inputs = weight ? (bias ? [x, weight, bias] : [x, weight]) : [x]
  return groupNormOp.apply(inputs, { groups, eps, activation })
}

/**
 * Group normalisation (Wu & He 2018): x: [N, C, ...spatial] less the mean of its group, over the group's standard
 * deviation (biased variance), times weight plus bias by channel, then the activation. Groups are runs of C/groups
 * channels of one sample.
 * @throws Ld3mError `option` if groups does not divide C; `shape` if weight or bias are not [C]
 */
export function groupNorm(x: Tensor, options: GroupNormOptions): Tensor {
  rejectUnknownOptions('groupNorm', options, ['groups', 'weight', 'bias', 'eps', 'activation'])
  return applyNorm('groupNorm', x, options)
}

export type InstanceNormOptions = Omit<GroupNormOptions, 'groups'>

/** Instance normalisation: group normalisation of x: [N, C, ...spatial] with every channel a group. */
export function instanceNorm(x: Tensor, options: InstanceNormOptions = {}): Tensor {
  rejectUnknownOptions('instanceNorm', options, ['weight', 'bias', 'eps', 'activation'])
  return applyNorm('instanceNorm', x, { ...options, groups: x.shape[1] ?? 1 })
}

export type LayerNormOptions = Omit<InstanceNormOptions, 'activation'>

/** Layer normalisation (Ba et al. 2016) over the last axis of x: [..., D]; weight and bias are [D]. */
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor {
  rejectUnknownOptions('layerNorm', options, ['weight', 'bias', 'eps'])
  const features = x.shape.at(-1)
  if (features === undefined || x.size === 0) {
    throw shapeError(`layerNorm: x has shape ${formatShape(x.shape)}; expected [..., D], not empty.`, 'Reshape it.')
  }
  const rows = reshape(x, [x.size / features, features])
  return reshape(applyNorm('layerNorm', rows, { ...options, groups: 1 }), x.shape)
}
