import { type Shape, sameShape, type Tensor } from '../autograd/index.ts'
import { shapeError } from '../errors.ts'

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

/** Why a state dict does not fit a module, in words: parameters that are missing or misshapen, and names too many. */
export function stateDictProblems(
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): { readonly unfilled: readonly string[]; readonly unexpected: readonly string[] } {
  const unfilled: string[] = []
  for (const [name, { shape }] of Object.entries(module.parameters)) {
    const given = state[name]
    if (!given) unfilled.push(`missing ${name}`)
    else if (!sameShape(given.shape, shape)) unfilled.push(`${name} is [${given.shape}], expected [${shape}]`)
  }
  const unexpected = Object.keys(state).filter((name) => !Object.hasOwn(module.parameters, name))
  return { unfilled, unexpected: unexpected.map((name) => `unexpected ${name}`) }
}

/** Problems that an error lists. */
const SHOWN = 20

/** Throws, naming every missing, unexpected and misshapen tensor, unless `state` fits the module. */
export function checkStateDict(
  where: string,
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): void {
  const { unfilled, unexpected } = stateDictProblems(module, state)
  const count = unfilled.length + unexpected.length
  if (count === 0) return
  // Of both kinds, since where all names differ by a prefix it takes both to see it.
  const first = unfilled.slice(0, Math.max(SHOWN / 2, SHOWN - unexpected.length))
  const shown = [...first, ...unexpected.slice(0, SHOWN - first.length)].join('; ')
  throw shapeError(
    `${where}: the state dict does not fit the module: ${shown}${count > SHOWN ? `; and ${count - SHOWN} more` : ''}.`,
    'Load the file made for this model.',
  )
}
