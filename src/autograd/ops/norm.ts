import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import type { GpuBuffer } from '../../gpu/index.ts'
import * as kernels from '../../kernels/index.ts'
import { gradientByRecording } from '../decompose.ts'
import { grad as gradientsOf } from '../grad.ts'
import { defineOp, type VjpContext } from '../op.ts'
import { scope } from '../scope.ts'
import { expectShape, formatShape, type Shape, sameShape, sizeOf } from '../shape.ts'
import { Storage } from '../storage.ts'
import { Tensor, zeros } from '../tensor.ts'
import { add, mul, square, sub } from './arithmetic.ts'
import { fill } from './fill.ts'
import { concat, slice } from './layout.ts'
import { mean } from './mean.ts'
import { reshape } from './reshape.ts'
import { sum } from './sum.ts'
import { reluGradOp, rsqrt, siluGradOp } from './unary.ts'

// groupNormGrad gives the gradients of groupNorm with respect to all its inputs. What arrives at these, u at that of x
// and `directions` at those of weight and bias, belongs together: with z the result before the activation f,
//
//     ⟨u, dx⟩ + ⟨directions, (dweight, dbias)⟩ = Σ g·f′(z)·q,
//
// q the derivative of z along (u, directions). The gradient of that with respect to g is groupNormTangent, f′(z)·q, and
// with respect to x, weight and bias groupNormSecondGrad: a kernel for each, with nothing between that is as large as x.
// Their own gradients are taken by recording q in ops.
//
// `stats`, the statistics of x that the forward pass saved, and `moments`, those with the means of u and u·x̂ beside them,
// are inputs only so that they need not be computed again: functions of x and u, not variables of their own, so what
// would flow through them is counted in the gradients with respect to x and u.

export interface NormAttrs {
  /** Groups of channels; the number of channels for instance norm. */
  readonly groups: number
  readonly eps: number
  readonly activation: kernels.Activation
}

/** The inputs of a norm that gradients are taken of. */
type NormInput = 'x' | 'weight' | 'bias'
const INPUTS: readonly NormInput[] = ['x', 'weight', 'bias']

export interface NormGradAttrs extends NormAttrs {
  /** The gradients wanted, an output each; at least one. */
  readonly of: readonly NormInput[]
  /** The last input is added to the gradient with respect to x. */
  readonly residual?: true
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

const checkMoments = (name: string, moments: Tensor, directions: Tensor, x: Tensor, { groups }: NormAttrs): void => {
  expectShape(`${name}: moments`, moments.shape, [(x.shape[0] as number) * groups, 4])
  expectShape(`${name}: directions`, directions.shape, [2 * (x.shape[1] as number)])
}

const shapeOfGrad = (x: Tensor, of: NormInput): Shape => (of === 'x' ? x.shape : [x.shape[1] as number])

/** The outputs in the order of `of`; what is not asked for is freed. */
function outputsOf(x: Tensor, of: readonly NormInput[], buffers: Partial<Record<NormInput, GpuBuffer>>) {
  for (const input of INPUTS) if (buffers[input] && !of.includes(input)) x.device.release(buffers[input])
  const [first, ...others] = of.map((input) => ({ buffer: buffers[input] as GpuBuffer, shape: shapeOfGrad(x, input) }))
  return { output: (first as { buffer: GpuBuffer }).buffer, others }
}

/** Weight and bias, at inputs `first` to `end`, each if there is one. */
const paramsOf = ({ shapes, input }: VjpContext<NormAttrs>, first: number, end?: number): Tensor[] =>
  shapes.slice(first, end).map((_, i) => input(first + i))

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
    const { grad, needs, attrs } = context
    const params = paramsOf(context, 1)
    // Without activation the gradients do not depend on the bias.
    const read = attrs.activation === 'none' ? params.slice(0, 1) : params
    const of = INPUTS.filter((_, i) => needs[i])
    const residual = needs[0] ? context.take(0) : undefined
    const inputs = [grad, context.input(0), context.extra(0), ...read, ...(residual ? [residual] : [])]
    const gradients = groupNormGradOp.applyAll(inputs, { ...attrs, of, ...(residual ? { residual: true } : {}) })
    return needs.map((need) => (need ? gradients.shift() : undefined))
  },
})

/** The inputs of groupNormGrad by name. */
function gradInputs(inputs: readonly Tensor[], { residual }: NormGradAttrs) {
  const [g, x, stats, weight, bias] = (residual ? inputs.slice(0, -1) : inputs) as [Tensor, Tensor, Tensor, ...Tensor[]]
  return { g, x, stats, weight, bias, residual: residual ? inputs.at(-1) : undefined }
}

export const groupNormGradOp = defineOp<NormGradAttrs>({
  name: 'groupNormGrad',
  shape(inputs, attrs) {
    const { g, x, stats, weight, bias, residual } = gradInputs(inputs, attrs)
    checkNorm('groupNormGrad', x, attrs, weight, bias)
    checkGradient('groupNormGrad', 'g', g, x)
    if (residual) checkGradient('groupNormGrad', 'residual', residual, x)
    expectShape('groupNormGrad: stats', stats.shape, [(x.shape[0] as number) * attrs.groups, 2])
    return shapeOfGrad(x, attrs.of[0] as NormInput)
  },
  forward(device, inputs, attrs) {
    const { g, x, stats, weight, bias, residual } = gradInputs(inputs, attrs)
    const from = [g.buffer, x.buffer, stats.buffer] as const
    const sizes = sizesOf(x.shape, attrs)
    const epilogue = epilogueOf(weight, bias, attrs)
    const ofX = () => kernels.normInputGrad(device, ...from, sizes, epilogue, residual?.buffer)
    return outputsOf(x, attrs.of, {
      ...(attrs.of.some((input) => input !== 'x') ? kernels.normWeightGrad(device, ...from, sizes, epilogue) : {}),
      ...(attrs.of.includes('x') ? { x: ofX() } : {}),
    })
  },
  saves: ({ residual }, needs) => [...needs.keys()].slice(0, residual ? -1 : undefined),
  vjp(context) {
    const { grads, needs, shapes, attrs } = context
    const [x, stats] = [context.input(1), context.input(2)]
    const { device, shape } = x
    const arrived = (input: NormInput) => grads[attrs.of.indexOf(input)]
    const u = arrived('x') ?? zeros(device, shape)
    const directions = concat(
      [arrived('weight'), arrived('bias')].map((d) => d ?? zeros(device, [shape[1] as number])),
      0,
    )
    const sizes = sizesOf(shape, attrs)
    const moments = new Tensor(
      new Storage(device, kernels.normMoments(device, u.buffer, x.buffer, stats.buffer, sizes)),
      [sizes.samples * sizes.groups, 4],
    )
    const end = shapes.length - (attrs.residual ? 1 : 0)
    const params = paramsOf(context, 3, end)
    const of = INPUTS.filter((_, i) => needs.slice(0, end)[[1, 3, 4][i] as number])
    const [ofX, ofWeight, ofBias] = scope(() => {
      if (of.length === 0) return []
      const inputs = [u, context.input(0), x, moments, directions, ...params]
      const gradients = groupNormSecondGradOp.applyAll(inputs, { ...attrs, of })
      return INPUTS.map((input) => gradients[of.indexOf(input)])
    })
    // Not read below: with it still there, five tensors of this size would be.
    context.release(0)
    const ofG = needs[0] ? groupNormTangentOp.apply([u, x, moments, directions, ...params], attrs) : undefined
    return [...[ofG, ofX, undefined, ofWeight, ofBias].slice(0, end), ...(attrs.residual ? [u] : [])]
  },
})

/** A [C] tensor as one that broadcasts with [N, C, ...spatial]. */
const perChannel = (w: Tensor, rank: number): Tensor => reshape(w, [w.size, ...new Array<number>(rank - 2).fill(1)])

/** What groupNormTangent computes, in ops. */
function tangentInOps(
  [u, x, directions, weight, bias]: [Tensor, Tensor, Tensor, ...(Tensor | undefined)[]],
  attrs: NormAttrs,
): Tensor {
  const { samples, channels, groups } = sizesOf(x.shape, attrs)
  const flat = (t: Tensor) => reshape(t, [samples * groups, -1])
  const average = (t: Tensor) => mean(t, 1, { keepDims: true })
  const whole = (t: Tensor) => reshape(t, x.shape)
  const byChannel = (w: Tensor) => perChannel(w, x.rank)
  const centred = sub(flat(x), average(flat(x)))
  const r = rsqrt(add(average(square(centred)), attrs.eps))
  const normalised = mul(centred, r)
  const along = sub(sub(flat(u), average(flat(u))), mul(normalised, average(mul(flat(u), normalised))))
  const ofX = whole(mul(along, r))
  const ofWeight = mul(whole(normalised), byChannel(slice(directions, 0, 0, channels)))
  const ofBias = byChannel(slice(directions, 0, channels, 2 * channels))
  const q = add(add(weight ? mul(ofX, byChannel(weight)) : ofX, ofWeight), ofBias)
  if (attrs.activation === 'none') return q
  const scaled = weight ? mul(whole(normalised), byChannel(weight)) : whole(normalised)
  const z = bias ? add(scaled, byChannel(bias)) : scaled
  // The second derivative of ReLU is zero: nothing flows back through z.
  return attrs.activation === 'silu' ? siluGradOp.apply([q, z], {}) : reluGradOp.apply([q, z.detach()], {})
}

export const groupNormTangentOp = defineOp<NormAttrs>({
  name: 'groupNormTangent',
  shape([u, x, moments, directions, weight, bias], attrs) {
    checkNorm('groupNormTangent', x as Tensor, attrs, weight, bias)
    checkGradient('groupNormTangent', 'u', u as Tensor, x as Tensor)
    checkMoments('groupNormTangent', moments as Tensor, directions as Tensor, x as Tensor, attrs)
    return (x as Tensor).shape
  },
  forward: (device, [u, x, moments, directions, weight, bias], attrs, shape) =>
    kernels.normTangent(
      device,
      (u as Tensor).buffer,
      (x as Tensor).buffer,
      (moments as Tensor).buffer,
      (directions as Tensor).buffer,
      sizesOf(shape, attrs),
      epilogueOf(weight, bias, attrs),
    ),
  saves: [0, 1, 2, 3, 4, 5],
  vjp: (context) =>
    gradientByRecording(
      (u, x, _, directions, ...params) =>
        tangentInOps([u as Tensor, x as Tensor, directions as Tensor, ...params], context.attrs),
      context.shapes.map((_, i) => context.input(i)),
      context,
    ),
})

export const groupNormSecondGradOp = defineOp<NormGradAttrs>({
  name: 'groupNormSecondGrad',
  shape([u, g, x, moments, directions, weight, bias], attrs) {
    checkNorm('groupNormSecondGrad', x as Tensor, attrs, weight, bias)
    checkGradient('groupNormSecondGrad', 'u', u as Tensor, x as Tensor)
    checkGradient('groupNormSecondGrad', 'g', g as Tensor, x as Tensor)
    checkMoments('groupNormSecondGrad', moments as Tensor, directions as Tensor, x as Tensor, attrs)
    return shapeOfGrad(x as Tensor, attrs.of[0] as NormInput)
  },
  forward(device, inputs, attrs) {
    const [u, g, x, moments, directions, weight, bias] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, ...Tensor[]]
    const from = [u.buffer, g.buffer, x.buffer, moments.buffer, directions.buffer] as const
    const sizes = sizesOf(x.shape, attrs)
    const epilogue = epilogueOf(weight, bias, attrs)
    const ofX = attrs.of.includes('x') ? { x: kernels.normSecondGrad(device, ...from, sizes, epilogue) } : {}
    if (!attrs.of.some((input) => input !== 'x')) return outputsOf(x, attrs.of, ofX)
    const both = kernels.normSecondWeightGrad(device, ...from, sizes, epilogue)
    const half = (start: number) => kernels.stridedCopy(device, both, [sizes.channels], [1], start)
    const [ofWeight, ofBias] = [half(0), half(sizes.channels)]
    device.release(both)
    return outputsOf(x, attrs.of, { ...ofX, weight: ofWeight, bias: ofBias })
  },
  saves: [0, 1, 2, 3, 4, 5, 6],
  vjp(context) {
    const { attrs, grads, needs, createGraph } = context
    const inputs = context.shapes.map((_, i) => context.input(i))
    return gradientByRecording(
      (u, g, x, _, directions, ...params) => {
        // Places of their own in the graph, of which the gradients are taken, also where none is wanted in the end.
        const [x1, ...params1] = [x as Tensor, ...params].map((t) => (t.node ? t : t.leaf())) as [Tensor, ...Tensor[]]
        const paired = sum(mul(g as Tensor, tangentInOps([u as Tensor, x1, directions as Tensor, ...params1], attrs)))
        const points = attrs.of.map((input) => [x1, ...params1][INPUTS.indexOf(input)] as Tensor)
        return gradientsOf(paired, points, { createGraph: true, allowUnused: true })
          .flatMap((gradient, i) => (grads[i] ? [sum(mul(gradient, grads[i]))] : []))
          .reduce((a, b) => add(a, b))
      },
      inputs,
      { grad: fill(inputs[0]!.device, [], 1), needs, createGraph },
    )
  },
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
