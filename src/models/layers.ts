import { checkpoint, formatShape, ops, scope, type Tensor } from '../autograd/index.ts'
import { formatValue, optionError, rejectNonBooleans, rejectUnknownOptions, shapeError } from '../errors.ts'
import { childParameters, type Init, type Module, type Params } from './module.ts'
import { positiveIntegers } from './options.ts'

const ZERO: Init = { kind: 'constant', value: 0 }
const ONE: Init = { kind: 'constant', value: 1 }

/** PyTorch's default for convolutions and linear layers, of weights and biases alike: uniform in ±1/√fanIn. */
const uniformInit = (fanIn: number): Init => ({ kind: 'uniform', bound: 1 / Math.sqrt(fanIn) })

export interface Conv2dOptions {
  /** Side of the square kernel; [1]: one pixel, with the weight of a one-dimensional convolution, [out, in, 1]. */
  kernel: number | readonly [1]
  /** Default 1. */
  stride?: number
  /** Zeros around the image: one number, or [top, bottom, left, right]. Default 0. */
  padding?: number | readonly [number, number, number, number]
  /** Default true. */
  bias?: boolean
  /** Applied to the result in the same kernel. Default none. */
  activation?: 'relu'
  /** Start from zeros, so that a residual branch begins as nothing. Default false. */
  zeroInit?: boolean
}

/** x: [N, inChannels, H, W] → [N, outChannels, H′, W′]. */
export function conv2d(inChannels: number, outChannels: number, options: Conv2dOptions): Module {
  const { parameters, apply } = conv2dOnto(inChannels, outChannels, options)
  return { parameters, apply: (params, x) => apply(params, x, undefined) }
}

/** `conv2d`, added in the same kernel, before its activation, to a residual of the result's shape. */
export function conv2dOnto(
  inChannels: number,
  outChannels: number,
  options: Conv2dOptions,
): Module<[x: Tensor, residual: Tensor | undefined]> {
  rejectUnknownOptions('conv2d', options, ['kernel', 'stride', 'padding', 'bias', 'activation', 'zeroInit'])
  const { kernel, stride = 1, padding = 0, bias = true, activation, zeroInit = false } = options
  rejectNonBooleans('conv2d', { bias, zeroInit })
  const side = typeof kernel === 'object' ? {} : { kernel }
  positiveIntegers('conv2d', { inChannels, outChannels, ...side, stride })
  const [kh, kw] = typeof kernel === 'number' ? [kernel, kernel] : [1, 1]
  const init = zeroInit ? ZERO : uniformInit(inChannels * kh * kw)
  const shape = [outChannels, inChannels, kh, kw]
  const flat = typeof kernel !== 'number'
  const weight = { shape: flat ? shape.slice(0, 3) : shape, init, half: true }
  return {
    parameters: bias ? { weight, bias: { shape: [outChannels], init } } : { weight },
    apply: (params, x, residual) =>
      ops.conv2d(x, flat ? ops.reshape(params.get('weight'), shape) : params.get('weight'), {
        stride,
        padding,
        bias: bias ? params.get('bias') : undefined,
        residual,
        activation,
      }),
  }
}

export interface LinearOptions {
  /** Default true. */
  bias?: boolean
}

/**
 * x: [N, …, inFeatures] → [N, …, outFeatures]; the weight is [outFeatures, inFeatures]. Given another last dimension, it
 * throws Ld3mError `shape`.
 */
export function linear(inFeatures: number, outFeatures: number, options: LinearOptions = {}): Module {
  rejectUnknownOptions('linear', options, ['bias'])
  const { bias = true } = options
  rejectNonBooleans('linear', { bias })
  positiveIntegers('linear', { inFeatures, outFeatures })
  const init = uniformInit(inFeatures)
  const weight = { shape: [outFeatures, inFeatures], init, half: true }
  return {
    parameters: bias ? { weight, bias: { shape: [outFeatures], init } } : { weight },
    apply: (params, x) => {
      if (x.rank < 2 || x.shape.at(-1) !== inFeatures) throw inputError(x, inFeatures)
      return ops.matmul(x, params.get('weight'), { transposeB: true, bias: bias ? params.get('bias') : undefined })
    },
  }
}

/** The product's own error would speak of a weight that the caller has not seen. */
const inputError = (x: Tensor, inFeatures: number) =>
  shapeError(
    `linear: takes [..., ${inFeatures}], got ${formatShape(x.shape)}.`,
    'The last of two or more dimensions is inFeatures.',
  )

const affineParameters = (channels: number): Module['parameters'] => ({
  weight: { shape: [channels], init: ONE },
  bias: { shape: [channels], init: ZERO },
})

export interface GroupNormOptions extends InstanceNormOptions {
  /** Added to the variance. Default 1e-5. */
  eps?: number
}

export interface InstanceNormOptions {
  /** Applied to the result in the same kernel. Default none. */
  activation?: 'silu' | 'relu'
}

/** x: [N, channels, …], normalised over each group of channels. */
export function groupNorm(groups: number, channels: number, options: GroupNormOptions = {}): Module {
  rejectUnknownOptions('groupNorm', options, ['eps', 'activation'])
  positiveIntegers('groupNorm', { groups, channels })
  const { eps = 1e-5, activation } = options
  return {
    parameters: affineParameters(channels),
    apply: (params, x) =>
      ops.groupNorm(x, {
        groups,
        weight: params.get('weight'),
        bias: params.get('bias'),
        eps,
        ...(activation ? { activation } : {}),
      }),
  }
}

/** x: [N, channels, H, W], normalised over each image's channel. */
export const instanceNorm = (channels: number, options: InstanceNormOptions = {}): Module =>
  groupNorm(channels, channels, options)

/** x: […, features], normalised over its last dimension. */
export function layerNorm(features: number): Module {
  positiveIntegers('layerNorm', { features })
  return {
    parameters: affineParameters(features),
    apply: (params, x) => ops.layerNorm(x, { weight: params.get('weight'), bias: params.get('bias'), eps: 1e-5 }),
  }
}

/** indices: i32 […] → rows of a [count, features] table, […, features]. */
export function embedding(count: number, features: number): Module<[indices: Tensor]> {
  positiveIntegers('embedding', { count, features })
  return {
    parameters: { weight: { shape: [count, features], init: { kind: 'normal', std: 1 } } },
    apply: (params, indices) => ops.gather(params.get('weight'), indices),
  }
}

const parameterless = (f: (x: Tensor) => Tensor): Module => ({ parameters: {}, apply: (_, x) => f(x) })

export const identity: Module = parameterless((x) => x)
export const relu: Module = parameterless(ops.relu)
export const silu: Module = parameterless(ops.silu)
/** x: [N, C, H, W] → [N, C, ⌊H/2⌋, ⌊W/2⌋]. */
export const avgPoolHalf: Module = parameterless((x) => ops.avgPool2d(x, { kernel: 2, stride: 2 }))
/** x: [N, C, H, W] → [N, C, ⌊H/2⌋, ⌊W/2⌋]. */
export const maxPoolHalf: Module = parameterless((x) => ops.maxPool2d(x, { kernel: 2, stride: 2 }))

/**
 * Modules one after the other, each given the result of the one before and the remaining arguments. Children are named
 * by their keys: 0, 1, … for a list, as in PyTorch. A result is freed as soon as the next one is there.
 */
export function sequential<Rest extends readonly unknown[] = []>(
  children:
    | readonly Module<[x: Tensor, ...rest: Rest]>[]
    | Readonly<Record<string, Module<[x: Tensor, ...rest: Rest]>>>,
): Module<[x: Tensor, ...rest: Rest]> {
  const steps = Object.entries(children)
  const wrong = steps.find(([, child]) => typeof child?.apply !== 'function')
  if (wrong) {
    const [name, child] = wrong
    throw optionError(
      `sequential: child '${name}' is ${formatValue(child)}, not a module.`,
      'Pass one array of modules, or an object of them.',
    )
  }
  return {
    parameters: childParameters(children),
    apply(params, x, ...rest) {
      let y: Tensor = x
      for (const [name, child] of steps) {
        const next = child.apply(params.child(name), y, ...rest)
        if (y !== x && y !== next) y.dispose()
        y = next
      }
      return y
    },
  }
}

/**
 * The same module, which keeps its arguments for the backward pass and computes the rest again there. Its parameters are
 * frozen: no gradients reach them. Arguments that are left out come last.
 */
export const recomputed = <Args extends readonly (Tensor | undefined)[]>(module: Module<Args>): Module<Args> => ({
  parameters: module.parameters,
  apply: (params, ...args) =>
    checkpoint(
      (...again) => module.apply(params, ...(again as readonly (Tensor | undefined)[] as Args)),
      args.filter((x) => x !== undefined),
    ),
})

/** A child as its parent calls it: its parameters are already filled in. */
type Bound<C> = {
  [K in keyof C]: NonNullable<C[K]> extends Module<infer Args, infer Out> ? (...args: Args) => Out : never
}

/**
 * A module of named children. `apply` gets them as functions, then the module's arguments; what it computes on the way
 * is freed when it returns, unless a graph needs it.
 */
// biome-ignore lint/suspicious/noExplicitAny: children take arguments of any kind
export function compose<C extends Readonly<Record<string, Module<any, any>>>, Args extends readonly unknown[], Out>(
  children: C,
  apply: (children: Bound<C>, ...args: Args) => Out,
): Module<Args, Out> {
  const bind = (params: Params) =>
    Object.fromEntries(
      Object.entries(children).map(([name, child]) => {
        const own = params.child(name)
        return [name, (...args: unknown[]) => child.apply(own, ...args)]
      }),
    ) as Bound<C>
  return {
    parameters: childParameters(children),
    apply: (params, ...args) => scope(() => apply(bind(params), ...args)),
  }
}
