import { type Shape, sameShape, type Tensor } from '../autograd/index.ts'
import { shapeError } from '../errors.ts'
import { listed } from '../words.ts'

/** Tensors by PyTorch's state-dict names, e.g. `features.0.weight`. */
export type StateDict = Readonly<Record<string, Tensor>>

/** How a parameter is filled before training. */
export type Init =
  | { readonly kind: 'uniform'; readonly bound: number }
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'constant'; readonly value: number }

export interface ParameterSpec {
  readonly shape: Shape
  readonly init: Init
  /** Whether it may be f16: the module only multiplies by it. Default false. */
  readonly half?: boolean
}

/**
 * A module is plain data and a function of its parameters: it owns no tensors, so it can be applied with any set of
 * them (an unrolled student update, an average) and is never mutated.
 */
export interface Module<Args extends readonly unknown[] = [x: Tensor], Out = Tensor> {
  /** Every parameter of the module and its children, by dotted name, in order. */
  readonly parameters: Readonly<Record<string, ParameterSpec>>
  apply(params: Params, ...args: Args): Out
}

/** A view of a state dict from inside a module: names are relative to the module. */
export class Params {
  readonly #children = new Map<string, Params>()

  constructor(
    readonly state: StateDict,
    readonly prefix = '',
  ) {}

  /** The parameter `name` of this module. */
  get(name: string): Tensor {
    const tensor = this.state[this.prefix + name]
    if (!tensor) {
      throw shapeError(
        `Parameter '${this.prefix}${name}' is missing from the state dict.`,
        'Pass the state dict that initialize or loadStateDict made for this module.',
      )
    }
    return tensor
  }

  /** The view of the child module `name`. */
  child(name: string): Params {
    let child = this.#children.get(name)
    if (!child) {
      child = new Params(this.state, `${this.prefix}${name}.`)
      this.#children.set(name, child)
    }
    return child
  }
}

/** The parameters of child modules under their names: `{ conv: … }` gives `conv.weight`, a list gives `0.weight`. */
export function childParameters(
  children: Readonly<Record<string, Pick<Module, 'parameters'>>> | readonly Pick<Module, 'parameters'>[],
): Record<string, ParameterSpec> {
  return Object.fromEntries(
    Object.entries(children).flatMap(([child, { parameters }]) =>
      Object.entries(parameters).map(([name, spec]) => [`${child}.${name}`, spec]),
    ),
  )
}

/** What of a state dict does not fit a module. */
export interface StateDictProblems {
  readonly missing: readonly string[]
  /** In words. */
  readonly misshapen: readonly string[]
  readonly unexpected: readonly string[]
}

export function stateDictProblems(
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): StateDictProblems {
  const missing: string[] = []
  const misshapen: string[] = []
  for (const [name, { shape }] of Object.entries(module.parameters)) {
    const given = Object.hasOwn(state, name) ? state[name] : undefined
    if (!given) missing.push(name)
    else if (!sameShape(given.shape, shape)) misshapen.push(`${name} is [${given.shape}], expected [${shape}]`)
  }
  const unexpected = Object.keys(state).filter((name) => !Object.hasOwn(module.parameters, name))
  return { missing, misshapen, unexpected }
}

/** Problems of a kind that a message names at most. */
const SHOWN = 10

/** The problems by kind, or an empty text where there are none. */
export function describeProblems({ missing, misshapen, unexpected }: StateDictProblems): string {
  return [
    ...(missing.length > 0 ? [`missing ${listed(missing, SHOWN)}`] : []),
    ...(misshapen.length > 0 ? [listed(misshapen, SHOWN, '; ')] : []),
    ...(unexpected.length > 0 ? [`unexpected ${listed(unexpected, SHOWN)}`] : []),
  ].join('; ')
}

/** Throws, naming every missing, unexpected and misshapen tensor, unless `state` fits the module. */
export function checkStateDict(
  where: string,
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): void {
  const problems = stateDictProblems(module, state)
  const described = describeProblems(problems)
  if (described === '') return
  const prefix = prefixOf(Object.keys(module.parameters), problems.unexpected)
  throw shapeError(
    `${where}: the state dict does not fit the module: ${described}.`,
    prefix === undefined
      ? 'Load the file made for this model.'
      : `Every name is there after '${prefix}': pass it as the option prefix.`,
  )
}

/** What stands in front of all of `names` in `given`, if anything does. */
function prefixOf(names: readonly string[], given: readonly string[]): string | undefined {
  const [first] = names
  if (first === undefined) return undefined
  const there = new Set(given)
  return given
    .filter((name) => name.endsWith(first))
    .map((name) => name.slice(0, -first.length))
    .find((prefix) => names.every((name) => there.has(prefix + name)))
}
