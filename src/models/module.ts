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

/** Every parameter of the module that is missing or misshapen in `state`, and every unexpected name there, in words. */
export function stateDictProblems(
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): string[] {
  const problems: string[] = []
  for (const [name, { shape }] of Object.entries(module.parameters)) {
    const given = state[name]
    if (!given) problems.push(`missing ${name}`)
    else if (!sameShape(given.shape, shape)) problems.push(`${name} is [${given.shape}], expected [${shape}]`)
  }
  for (const name of Object.keys(state))
    if (!Object.hasOwn(module.parameters, name)) problems.push(`unexpected ${name}`)
  return problems
}

/** Throws, naming every missing, unexpected and misshapen tensor, unless `state` fits the module. */
export function checkStateDict(
  where: string,
  module: Pick<Module, 'parameters'>,
  state: Readonly<Record<string, { readonly shape: Shape }>>,
): void {
  const problems = stateDictProblems(module, state)
  if (problems.length > 0) {
    const shown = problems.slice(0, 20).join('; ') + (problems.length > 20 ? `; and ${problems.length - 20} more` : '')
    throw shapeError(
      `${where}: the state dict does not fit the module: ${shown}.`,
      'Load the file made for this model.',
    )
  }
}
