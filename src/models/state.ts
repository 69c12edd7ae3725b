import { noGrad, ops, random, type Shape, scope, type Tensor, tensor } from '../autograd/index.ts'
import { optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { checkStateDict, type Init, type Module, Params, type StateDict } from './module.ts'

/** A tensor's values on the host. */
export interface HostTensor {
  readonly shape: Shape
  readonly data: Float32Array
}

/** Host tensors by state-dict name. */
export type NamedArrays = Record<string, HostTensor>

type Parametrised = Pick<Module, 'parameters'>

export interface InitializeOptions {
  /** The same seed gives the same parameters on every adapter. */
  seed: number
}

/**
 * Fresh parameters for `module`, each a leaf that gradients can be taken with respect to. Every parameter draws from
 * its own stream of the seed, so adding one does not change the others before it.
 */
export function initialize(device: Device, module: Parametrised, options: InitializeOptions): StateDict {
  rejectUnknownOptions('initialize', options, ['seed'])
  return scope(() =>
    noGrad(() =>
      Object.fromEntries(
        Object.entries(module.parameters).map(([name, { shape, init }], stream) => [
          name,
          draw(device, shape, init, options.seed, stream).leaf(),
        ]),
      ),
    ),
  )
}

function draw(device: Device, shape: Shape, init: Init, seed: number, stream: number): Tensor {
  switch (init.kind) {
    case 'uniform':
      return random.uniform(device, shape, { seed, stream }, { low: -init.bound, high: init.bound })
    case 'normal':
      return random.normal(device, shape, { seed, stream }, { std: init.std })
    case 'constant':
      return ops.fill(device, shape, init.value)
  }
}

export interface LoadOptions {
  /** Take the tensors whose names begin with this, without it; the others are ignored. Default '': all of them. */
  prefix?: string
  /**
   * `f16`: for a frozen module, whose state takes no gradients; weights of convolutions and linear layers are f16, half
   * as large, and the rest is f32. Default f32.
   */
  dtype?: 'f32' | 'f16'
}

export function loadOptions(where: string, options: LoadOptions): Required<LoadOptions> {
  rejectUnknownOptions(where, options, ['prefix', 'dtype'])
  const { prefix = '', dtype = 'f32' } = options
  if (dtype !== 'f32' && dtype !== 'f16') throw optionError(`${where}: dtype is '${dtype}'.`, "Use 'f32' or 'f16'.")
  return { prefix, dtype }
}

/**
 * Parameters for `module` from host tensors, each a leaf that gradients can be taken with respect to (unless in f16).
 * @throws Ld3mError `shape`, naming every missing, unexpected and misshapen tensor; `adapter` for f16 where the adapter
 * has none; `numeric` for f16 of a weight that is NaN or infinite
 */
export function loadStateDict(
  device: Device,
  module: Parametrised,
  tensors: Readonly<NamedArrays> | ReadonlyMap<string, HostTensor>,
  options: LoadOptions = {},
): StateDict {
  const { prefix, dtype } = loadOptions('loadStateDict', options)
  const entries = tensors instanceof Map ? [...tensors] : Object.entries(tensors as NamedArrays)
  const given = Object.fromEntries(
    entries.flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [])),
  ) as NamedArrays
  checkStateDict('loadStateDict', module, given)
  return scope(() =>
    Object.fromEntries(
      Object.entries(module.parameters).map(([name, { half = false }]) => {
        const { shape, data } = given[name] as HostTensor
        const frozen = { shape, dtype: half ? 'f16' : 'f32' } as const
        return [name, tensor(device, data, dtype === 'f32' ? { shape, requiresGrad: true } : frozen)]
      }),
    ),
  )
}

/** The values of all parameters, once everything recorded so far has run. */
export async function readStateDict(state: StateDict): Promise<NamedArrays> {
  const entries = Object.entries(state).map(async ([name, value]) => {
    const { shape } = value
    return [name, { shape, data: await value.read() }] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

/** Applies `module` with the parameters `state`; intermediate results that no graph needs are freed. */
export function applyModule<Args extends readonly unknown[], Out>(
  module: Module<Args, Out>,
  state: StateDict,
  ...args: Args
): Out {
  return scope(() => module.apply(new Params(state), ...args))
}

/** Number of trainable numbers in a module. */
export const parameterCount = (module: Parametrised): number =>
  Object.values(module.parameters).reduce((n, { shape }) => n + shape.reduce((m, d) => m * d, 1), 0)

/** Handles on the same memory that gradients do not flow to; the caller disposes both state dicts. */
export const freeze = (state: StateDict): StateDict =>
  Object.fromEntries(Object.entries(state).map(([name, value]) => [name, value.detach()]))

/** As `freeze`, for a state that nobody needs otherwise: its own handles are disposed. */
export function takeFrozen(state: StateDict): StateDict {
  const frozen = freeze(state)
  disposeState(state)
  return frozen
}

/**
 * A frozen copy of `module`'s state in which weights of convolutions and linear layers are f16, half as large, and the
 * rest shares memory with `state`; gradients do not flow to it. The caller disposes both state dicts.
 * @throws Ld3mError `adapter` where the adapter has no half precision, `shape` if the state does not fit the module
 */
export function halve(module: Parametrised, state: StateDict): StateDict {
  checkStateDict('halve', module, state)
  const convert = (value: Tensor, half = false) => (half && value.dtype === 'f32' ? ops.toHalf(value) : value.detach())
  return scope(() =>
    noGrad(() =>
      Object.fromEntries(
        Object.entries(module.parameters).map(([name, { half }]) => [name, convert(state[name] as Tensor, half)]),
      ),
    ),
  )
}

/** Frees all tensors of a state dict. */
export function disposeState(state: StateDict): void {
  for (const value of Object.values(state)) value.dispose()
}

/** Throws unless an image batch has the given channels and size. */
export function checkImages(where: string, x: Tensor, [channels, height, width]: readonly [number, number, number]) {
  const [, c, h, w] = x.shape
  if (x.rank !== 4 || c !== channels || h !== height || w !== width) {
    throw shapeError(
      `${where}: expected images of shape [N, ${channels}, ${height}, ${width}], got [${x.shape.join(', ')}].`,
      'Make the network for these images, or resize them.',
    )
  }
}
