import { optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import * as kernels from '../../kernels/index.ts'
import { defineOp, type Op } from '../op.ts'
import { expectShape, formatShape, type Shape } from '../shape.ts'
import type { Tensor } from '../tensor.ts'
import { mean } from './mean.ts'
import { reshape } from './reshape.ts'

type Size = readonly [h: number, w: number]

/** Windows of kernel × kernel, `stride` apart, over a map with `padding` zeros (for maxima: nothing) around it. */
export interface StridedWindows {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
}
/** PyTorch's adaptive bins, which may overlap. */
export interface AdaptiveBins {
  readonly outputSize: Size
}
type Windows = StridedWindows | AdaptiveBins

/** Sizes of pooling x: [N, C, H, W]; throws unless there is a window. */
function sizesOf(where: string, x: Shape, windows: Windows): kernels.PoolSizes {
  const [n, c, h, w] = x as [number, number, number, number]
  const planes = n * c
  if ('outputSize' in windows) {
    return { planes, h, w, ho: windows.outputSize[0], wo: windows.outputSize[1], windows: undefined }
  }
  const { kernel, stride, padding: pad } = windows
  const ho = Math.floor((h + 2 * pad - kernel) / stride) + 1
  const wo = Math.floor((w + 2 * pad - kernel) / stride) + 1
  if (ho < 1 || wo < 1) {
    throw shapeError(
      `${where}: a ${kernel}×${kernel} window does not fit a ${h}×${w} map with padding ${pad}.`,
      'Use a larger map or a smaller kernel.',
    )
  }
  return { planes, h, w, ho, wo, windows: { kernel, stride, pad } }
}

/** Shape of pooling x; checks that x is [N, C, H, W]. */
function pooledShape(where: string, x: Tensor, windows: Windows): Shape {
  expectShape(`${where}: x`, x.shape, ['N', 'C', 'H', 'W'])
  const { ho, wo } = sizesOf(where, x.shape, windows)
  return [x.shape[0] as number, x.shape[1] as number, ho, wo]
}

/** Shape of the input that pools to `grad`; checks that it does. */
function unpooledShape(where: string, grad: Tensor, windows: Windows, inputSize: Size): Shape {
  expectShape(`${where}: grad`, grad.shape, ['N', 'C', 'Ho', 'Wo'])
  const [n, c] = grad.shape as [number, number]
  const x = [n, c, ...inputSize]
  const { ho, wo } = sizesOf(where, x, windows)
  expectShape(`${where}: grad for inputSize ${formatShape(inputSize)}`, grad.shape, [n, c, ho, wo])
  return x
}

const mapSize = (shape: Shape | undefined): Size => (shape as Shape).slice(2) as unknown as Size

// --- averages -------------------------------------------------------------------------------------------------------

export const avgPool2dOp: Op<StridedWindows> = defineOp<StridedWindows>({
  name: 'avgPool2d',
  shape: ([x], windows) => pooledShape('avgPool2d', x as Tensor, windows),
  forward: (device, [x], windows) =>
    kernels.poolSum(
      device,
      (x as Tensor).buffer,
      sizesOf('avgPool2d', (x as Tensor).shape, windows),
      1 / windows.kernel ** 2,
      false,
    ),
  saves: [],
  vjp: ({ grad, attrs, shapes: [x] }) => [avgPool2dGradOp.apply([grad], { ...attrs, inputSize: mapSize(x) })],
})

export const avgPool2dGradOp: Op<StridedWindows & { readonly inputSize: Size }> = defineOp<
  StridedWindows & { readonly inputSize: Size }
>({
  name: 'avgPool2dGrad',
  shape: ([grad], attrs) => unpooledShape('avgPool2dGrad', grad as Tensor, attrs, attrs.inputSize),
  forward: (device, [grad], attrs, x) =>
    kernels.poolSum(device, (grad as Tensor).buffer, sizesOf('avgPool2dGrad', x, attrs), 1 / attrs.kernel ** 2, true),
  saves: [],
  vjp: ({ grad, attrs: { kernel, stride, padding } }) => [avgPool2dOp.apply([grad], { kernel, stride, padding })],
})

export const upsampleNearest2dOp: Op<{ readonly factor: number }> = defineOp<{ readonly factor: number }>({
  name: 'upsampleNearest2d',
  shape([x], { factor }) {
    expectShape('upsampleNearest2d: x', (x as Tensor).shape, ['N', 'C', 'H', 'W'])
    const [n, c, h, w] = (x as Tensor).shape as [number, number, number, number]
    return [n, c, h * factor, w * factor]
  },
  forward: (device, [x], { factor }, shape) =>
    kernels.poolSum(device, (x as Tensor).buffer, sizesOf('upsampleNearest2d', shape, blocks(factor)), 1, true),
  saves: [],
  vjp: ({ grad, attrs }) => [upsampleNearest2dGradOp.apply([grad], attrs)],
})

export const upsampleNearest2dGradOp: Op<{ readonly factor: number }> = defineOp<{ readonly factor: number }>({
  name: 'upsampleNearest2dGrad',
  shape([grad], { factor }) {
    expectShape('upsampleNearest2dGrad: grad', (grad as Tensor).shape, ['N', 'C', 'H', 'W'])
    const [n, c, h, w] = (grad as Tensor).shape as [number, number, number, number]
    if (h % factor !== 0 || w % factor !== 0) {
      throw shapeError(
        `upsampleNearest2dGrad: a ${h}×${w} map is not a multiple of factor ${factor}.`,
        'Pass the gradient of an upsampled map.',
      )
    }
    return [n, c, h / factor, w / factor]
  },
  forward: (device, [grad], { factor }) =>
    kernels.poolSum(
      device,
      (grad as Tensor).buffer,
      sizesOf('upsampleNearest2dGrad', (grad as Tensor).shape, blocks(factor)),
      1,
      false,
    ),
  saves: [],
  vjp: ({ grad, attrs }) => [upsampleNearest2dOp.apply([grad], attrs)],
})

const blocks = (factor: number): StridedWindows => ({ kernel: factor, stride: factor, padding: 0 })

// --- maxima ---------------------------------------------------------------------------------------------------------

export type MaxGradAttrs = Windows & { readonly inputSize: Size }

/** Where maxima are equal, the gradient goes to the first. */
export const maxPool2dOp: Op<Windows> = defineOp<Windows>({
  name: 'maxPool2d',
  shape: ([x], windows) => pooledShape('maxPool2d', x as Tensor, windows),
  forward(device, [x], windows, shape) {
    const sizes = sizesOf('maxPool2d', (x as Tensor).shape, windows)
    const { output, indices } = kernels.poolMax(device, (x as Tensor).buffer, sizes)
    return { output, extras: [{ buffer: indices, shape, dtype: 'i32' }] }
  },
  saves: ['extras'],
  vjp: ({ grad, extra, attrs, shapes: [x] }) => [
    maxPool2dGradOp.apply([grad, extra(0)], { ...attrs, inputSize: mapSize(x) }),
  ],
})

/** Moves grad: [N, C, Ho, Wo] to the elements of [N, C, H, W] that `indices` (each in its own window) name. */
export const maxPool2dGradOp: Op<MaxGradAttrs> = defineOp<MaxGradAttrs>({
  name: 'maxPool2dGrad',
  inputTypes: ['f32', 'i32'],
  shape([grad, indices], attrs) {
    const x = unpooledShape('maxPool2dGrad', grad as Tensor, attrs, attrs.inputSize)
    expectShape('maxPool2dGrad: indices', (indices as Tensor).shape, (grad as Tensor).shape)
    return x
  },
  forward: (device, [grad, indices], attrs, x) =>
    kernels.poolMaxGrad(
      device,
      (grad as Tensor).buffer,
      (indices as Tensor).buffer,
      sizesOf('maxPool2dGrad', x, attrs),
    ),
  saves: [1],
  vjp: ({ grad, input, attrs }) => [maxPool2dGatherOp.apply([grad, input(1)], attrs)],
})

/** The elements of x: [N, C, H, W] that `indices`: [N, C, Ho, Wo] name; linear in x, adjoint to maxPool2dGrad. */
export const maxPool2dGatherOp: Op<MaxGradAttrs> = defineOp<MaxGradAttrs>({
  name: 'maxPool2dGather',
  inputTypes: ['f32', 'i32'],
  shape([x, indices], attrs) {
    const shape = pooledShape('maxPool2dGather', x as Tensor, attrs)
    expectShape('maxPool2dGather: indices', (indices as Tensor).shape, shape)
    return shape
  },
  forward: (device, [x, indices], attrs) =>
    kernels.poolGather(
      device,
      (x as Tensor).buffer,
      (indices as Tensor).buffer,
      sizesOf('maxPool2dGather', (x as Tensor).shape, attrs),
    ),
  saves: [1],
  vjp: ({ grad, input, attrs }) => [maxPool2dGradOp.apply([grad, input(1)], attrs)],
})

// --- functions ------------------------------------------------------------------------------------------------------

export interface PoolOptions {
  /** Side of the window, ≥ 1. */
  kernel: number
  /** Step of the window, ≥ 1. Default `kernel`. */
  stride?: number
  /** Elements added on every side, 0 to kernel / 2. Default 0. */
  padding?: number
}

function stridedWindows(where: string, options: PoolOptions): StridedWindows {
  rejectUnknownOptions(where, options, ['kernel', 'stride', 'padding'])
  const { kernel, stride = kernel, padding = 0 } = options
  checkPositive(`${where}: kernel`, kernel)
  checkPositive(`${where}: stride`, stride)
  if (!Number.isInteger(padding) || padding < 0 || padding > kernel / 2) {
    throw optionError(`${where}: padding is ${padding}.`, `For kernel ${kernel}, use an integer from 0 to kernel / 2.`)
  }
  return { kernel, stride, padding }
}

function checkPositive(where: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw optionError(`${where} is ${value}.`, 'Use an integer ≥ 1.')
}

/**
 * Averages over windows: x [N, C, H, W] to [N, C, Ho, Wo] with Ho = ⌊(H + 2·padding − kernel) / stride⌋ + 1. Padding
 * counts as zeros: the divisor is always kernel².
 * @throws Ld3mError `shape` if no window fits, `option` if an option is unknown or out of range
 */
export const avgPool2d = (x: Tensor, options: PoolOptions): Tensor =>
  avgPool2dOp.apply([x], stridedWindows('avgPool2d', options))

/**
 * Maxima over windows: x [N, C, H, W] to [N, C, Ho, Wo] with Ho = ⌊(H + 2·padding − kernel) / stride⌋ + 1. Padding
 * never wins. The gradient goes to the first of equal maxima.
 * @throws Ld3mError `shape` if no window fits, `option` if an option is unknown or out of range
 */
export const maxPool2d = (x: Tensor, options: PoolOptions): Tensor =>
  maxPool2dOp.apply([x], stridedWindows('maxPool2d', options))

/**
 * Maxima over PyTorch's adaptive bins: x [N, C, H, W] to [N, C, size, size] (or size = [h, w]). Bin i covers rows
 * ⌊i·H/size⌋ up to ⌈(i + 1)·H/size⌉; a size larger than the map repeats elements.
 * @throws Ld3mError `shape` if x is not 4-D, `option` if a size is not an integer ≥ 1
 */
export function adaptiveMaxPool2d(x: Tensor, size: number | Size): Tensor {
  const outputSize: Size = typeof size === 'number' ? [size, size] : [size[0], size[1]]
  for (const side of outputSize) checkPositive('adaptiveMaxPool2d: size', side)
  return maxPool2dOp.apply([x], { outputSize })
}

/** The mean of each map: x [N, C, H, W] to [N, C]. */
export function globalAvgPool2d(x: Tensor): Tensor {
  expectShape('globalAvgPool2d: x', x.shape, ['N', 'C', 'H', 'W'])
  return mean(x, [2, 3])
}

/** The maximum of each map: x [N, C, H, W] to [N, C]. */
export function globalMaxPool2d(x: Tensor): Tensor {
  expectShape('globalMaxPool2d: x', x.shape, ['N', 'C', 'H', 'W'])
  return reshape(adaptiveMaxPool2d(x, 1), x.shape.slice(0, 2))
}

/**
 * Repeats every element factor × factor times: x [N, C, H, W] to [N, C, factor·H, factor·W].
 * @throws Ld3mError `shape` if x is not 4-D, `option` if the factor is not an integer ≥ 1
 */
export function upsampleNearest2d(x: Tensor, factor: number): Tensor {
  checkPositive('upsampleNearest2d: factor', factor)
  return upsampleNearest2dOp.apply([x], { factor })
}
