import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op, savesFactors } from '../op.ts'
import { expectShape, formatShape, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import {
  type EpilogueAttrs,
  type EpilogueOptions,
  epilogueGradients,
  epilogueInputs,
  gradOfSum,
  savesOf,
  withEpilogue,
} from './epilogue.ts'
import { halvesOf } from './half.ts'
import { sum } from './sum.ts'

/** Zeros added around a map: the same everywhere, or [top, bottom, left, right]. */
export type Padding2d = number | readonly [top: number, bottom: number, left: number, right: number]

export interface ConvAttrs {
  readonly stride: number
  readonly padding: readonly [top: number, bottom: number, left: number, right: number]
}
export interface InputGradAttrs extends ConvAttrs {
  readonly inputSize: readonly [h: number, w: number]
}
export interface WeightGradAttrs extends ConvAttrs {
  readonly kernel: readonly [kh: number, kw: number]
}

/** Sizes of the convolution x: [N, C, H, W] with weight: [O, C, kh, kw]; throws unless it has an output. */
function sizesOf(where: string, x: Shape, weight: Shape, { stride, padding }: ConvAttrs): kernels.Conv2dSizes {
  const [n, c, h, w] = x as [number, number, number, number]
  const [o, , kh, kw] = weight as [number, number, number, number]
  const [top, bottom, left, right] = padding
  const ho = Math.floor((h + top + bottom - kh) / stride) + 1
  const wo = Math.floor((w + left + right - kw) / stride) + 1
  if (ho < 1 || wo < 1) {
    throw shapeError(
      `${where}: a ${kh}×${kw} kernel does not fit a ${h}×${w} map with padding [${padding.join(', ')}].`,
      'Use a larger map, more padding or a smaller kernel.',
    )
  }
  return { n, c, h, w, o, ho, wo, kh, kw, stride, top, left }
}

export const conv2dOp: Op<ConvAttrs & EpilogueAttrs> = defineOp<ConvAttrs & EpilogueAttrs>({
  name: 'conv2d',
  inputTypes: ['float', 'float', 'f32', 'f32'],
  shape(inputs, attrs) {
    const { x, weight, bias, residual } = epilogueInputs(inputs, attrs)
    expectShape('conv2d: x', x.shape, ['N', 'C', 'H', 'W'])
    expectShape('conv2d: weight', weight.shape, ['O', x.shape[1] as number, 'kh', 'kw'])
    const { n, o, ho, wo } = sizesOf('conv2d', x.shape, weight.shape, attrs)
    if (bias) expectShape('conv2d: bias', bias.shape, [o])
    if (residual) expectShape('conv2d: residual', residual.shape, [n, o, ho, wo])
    return [n, o, ho, wo]
  },
  forward(device, inputs, attrs) {
    const { x, weight, bias, residual } = epilogueInputs(inputs, attrs)
    const epilogue = { bias: bias?.buffer, residual: residual?.buffer, activation: attrs.activation }
    const sizes = sizesOf('conv2d', x.shape, weight.shape, attrs)
    return kernels.conv2d(device, x.buffer, weight.buffer, sizes, epilogue, halvesOf(x, weight))
  },
  saves: savesOf,
  vjp(context) {
    const { input, needs, shapes, attrs, take } = context
    const [x, weight] = shapes as [Shape, Shape]
    const { stride, padding } = attrs
    const inputSize = x.slice(2) as [number, number]
    const kernel = weight.slice(2) as [number, number]
    const grad = gradOfSum(context)
    const ofX = () => {
      // Kernels of a strided one do not add.
      const arrived = stride === 1 ? take(0) : undefined
      const inputs = [grad, input(1), ...(arrived ? [arrived] : [])]
      return conv2dInputGradOp.apply(inputs, { stride, padding, inputSize })
    }
    return [
      needs[0] ? ofX() : undefined,
      needs[1] ? conv2dWeightGradOp.apply([input(0), grad], { stride, padding, kernel }) : undefined,
      ...epilogueGradients(context, grad, () => sum(grad, [0, 2, 3])),
    ]
  },
})

/** Inputs: the gradient, the weight and, with stride 1, what is added to the result, if anything is. */
export const conv2dInputGradOp: Op<InputGradAttrs> = defineOp<InputGradAttrs>({
  name: 'conv2dInputGrad',
  inputTypes: ['f32', 'float', 'f32'],
  shape([grad, weight, residual], attrs) {
    const where = 'conv2dInputGrad'
    expectShape(`${where}: weight`, (weight as Tensor).shape, ['O', 'C', 'kh', 'kw'])
    expectShape(`${where}: grad`, (grad as Tensor).shape, ['N', (weight as Tensor).shape[0] as number, 'Ho', 'Wo'])
    const x = inputShape(grad as Tensor, weight as Tensor, attrs)
    const { ho, wo } = sizesOf(where, x, (weight as Tensor).shape, attrs)
    expectShape(`${where}: grad for inputSize ${formatShape(attrs.inputSize)}`, (grad as Tensor).shape, [
      'N',
      'O',
      ho,
      wo,
    ])
    if (residual) expectShape(`${where}: residual`, residual.shape, x)
    return x
  },
  forward(device, [grad, weight, residual], attrs, x) {
    const sizes = sizesOf('conv2dInputGrad', x, (weight as Tensor).shape, attrs)
    const [from, by] = [(grad as Tensor).buffer, (weight as Tensor).buffer]
    return kernels.conv2dInputGrad(device, from, by, sizes, halvesOf(grad, weight), residual?.buffer)
  },
  saves: (_, needs) => savesFactors(needs),
  vjp({ grad, input, needs, shapes: [, weight], attrs: { stride, padding } }) {
    const kernel = (weight as Shape).slice(2) as [number, number]
    return [
      needs[0] ? conv2dOp.apply([grad, input(1)], { stride, padding }) : undefined,
      needs[1] ? conv2dWeightGradOp.apply([grad, input(0)], { stride, padding, kernel }) : undefined,
      ...(needs[2] ? [grad] : []),
    ]
  },
})

const inputShape = (grad: Tensor, weight: Tensor, { inputSize }: InputGradAttrs): Shape => [
  grad.shape[0] as number,
  weight.shape[1] as number,
  ...inputSize,
]

export const conv2dWeightGradOp: Op<WeightGradAttrs> = defineOp<WeightGradAttrs>({
  name: 'conv2dWeightGrad',
  inputTypes: ['float', 'f32'],
  shape([x, grad], attrs) {
    const where = 'conv2dWeightGrad'
    expectShape(`${where}: x`, (x as Tensor).shape, ['N', 'C', 'H', 'W'])
    expectShape(`${where}: grad`, (grad as Tensor).shape, [(x as Tensor).shape[0] as number, 'O', 'Ho', 'Wo'])
    const weight = weightShape(x as Tensor, grad as Tensor, attrs)
    const { ho, wo } = sizesOf(where, (x as Tensor).shape, weight, attrs)
    expectShape(`${where}: grad for kernel ${formatShape(attrs.kernel)}`, (grad as Tensor).shape, ['N', 'O', ho, wo])
    return weight
  },
  forward(device, [x, grad], attrs, weight) {
    const sizes = sizesOf('conv2dWeightGrad', (x as Tensor).shape, weight, attrs)
    const [from, by] = [(x as Tensor).buffer, (grad as Tensor).buffer]
    return kernels.conv2dWeightGrad(device, from, by, sizes, halvesOf(x, grad))
  },
  saves: (_, needs) => savesFactors(needs),
  vjp({ grad, input, needs, shapes: [x], attrs: { stride, padding } }) {
    const inputSize = (x as Shape).slice(2) as [number, number]
    return [
      needs[0] ? conv2dInputGradOp.apply([input(1), grad], { stride, padding, inputSize }) : undefined,
      needs[1] ? conv2dOp.apply([input(0), grad], { stride, padding }) : undefined,
    ]
  },
})

const weightShape = (x: Tensor, grad: Tensor, { kernel }: WeightGradAttrs): Shape => [
  grad.shape[1] as number,
  x.shape[1] as number,
  ...kernel,
]

export interface Conv2dOptions {
  /** Step of the window in both directions, ≥ 1. Default 1. */
  stride?: number
  /** Zeros around the map: one number, or [top, bottom, left, right]; each ≥ 0. Default 0. */
  padding?: Padding2d
}

function convAttrs(where: string, { stride = 1, padding = 0 }: Conv2dOptions): ConvAttrs {
  const sides: ConvAttrs['padding'] =
    typeof padding === 'number' ? [padding, padding, padding, padding] : ([...padding] as const as ConvAttrs['padding'])
  if (!Number.isInteger(stride) || stride < 1) {
    throw optionError(`${where}: stride is ${stride}.`, 'Use an integer ≥ 1.')
  }
  if (sides.length !== 4 || !sides.every((p) => Number.isInteger(p) && p >= 0)) {
    throw optionError(
      `${where}: padding is ${JSON.stringify(padding)}.`,
      'Use one integer ≥ 0 or four: [top, bottom, left, right].',
    )
  }
  return { stride, padding: sides }
}

/** Throws unless `value` is a pair of integers ≥ 1. */
function checkPair(where: string, value: readonly number[]): void {
  if (value.length !== 2 || !value.every((v) => Number.isInteger(v) && v >= 1)) {
    throw optionError(`${where} is ${JSON.stringify(value)}.`, 'Use two integers ≥ 1.')
  }
}

/**
 * 2-D convolution (cross-correlation) with zero padding: x [N, C, H, W], weight [O, C, kh, kw], bias [O] to
 * [N, O, Ho, Wo], where Ho = ⌊(H + top + bottom − kh) / stride⌋ + 1; plus a residual of that shape, then the activation.
 * x and weight may be f16; sums and the result are f32.
 * @throws Ld3mError `shape` if the shapes do not fit, `option` if an option is unknown or out of range
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions & EpilogueOptions = {}): Tensor {
  rejectUnknownOptions('conv2d', options, ['bias', 'residual', 'activation', 'stride', 'padding'])
  const { inputs, attrs } = withEpilogue('conv2d', [x, weight], options)
  return conv2dOp.apply(inputs, { ...convAttrs('conv2d', options), ...attrs })
}

/**
 * The gradient of conv2d with respect to its input, also known as transposed convolution: grad [N, O, Ho, Wo],
 * weight [O, C, kh, kw] to [N, C, H, W], where inputSize = [H, W] is one that conv2d maps to [Ho, Wo].
 * @throws Ld3mError `shape` if the shapes do not fit, `option` if an option is unknown or out of range
 */
export function conv2dInputGrad(
  grad: Tensor,
  weight: Tensor,
  options: Conv2dOptions & { inputSize: readonly [h: number, w: number] },
): Tensor {
  rejectUnknownOptions('conv2dInputGrad', options, ['inputSize', 'stride', 'padding'])
  checkPair('conv2dInputGrad: inputSize', options.inputSize)
  const attrs = { ...convAttrs('conv2dInputGrad', options), inputSize: options.inputSize }
  return conv2dInputGradOp.apply([grad, weight], attrs)
}

/**
 * The gradient of conv2d with respect to its weight: x [N, C, H, W], grad [N, O, Ho, Wo] to [O, C, kh, kw], where
 * kernel = [kh, kw].
 * @throws Ld3mError `shape` if the shapes do not fit, `option` if an option is unknown or out of range
 */
export function conv2dWeightGrad(
  x: Tensor,
  grad: Tensor,
  options: Conv2dOptions & { kernel: readonly [kh: number, kw: number] },
): Tensor {
  rejectUnknownOptions('conv2dWeightGrad', options, ['kernel', 'stride', 'padding'])
  checkPair('conv2dWeightGrad: kernel', options.kernel)
  const attrs = { ...convAttrs('conv2dWeightGrad', options), kernel: options.kernel }
  return conv2dWeightGradOp.apply([x, grad], attrs)
}
