import { optionError } from '../errors.ts'
import { assemble, type Constants, type KernelInterface, parseInterface } from './wgsl.ts'

/** One kernel text with its constants fixed: what a pipeline is made of. Interned, so identity can key a cache. */
export class Variant {
  static #count = 0
  readonly id = Variant.#count++
  #interface: KernelInterface | undefined

  constructor(
    readonly kernel: Kernel,
    readonly constants: Constants,
    /** Shown by the profiler, e.g. `matmul[TILE_M=8]`. */
    readonly label: string,
  ) {}

  /** What to bind and pass. */
  get interface(): KernelInterface {
    this.#interface ??= parseInterface(this.kernel.name, this.code(false))
    return this.#interface
  }

  /** The WGSL text, with params as immediates or as a uniform. */
  code(immediates: boolean): string {
    return assemble(this.kernel.name, this.kernel.source, this.constants, immediates)
  }
}

/** A hand-written kernel: the file `wgsl/<name>.wgsl` with an entry point `main`. */
export class Kernel {
  readonly #variants = emptyBranch()

  constructor(
    readonly name: string,
    readonly source: string,
  ) {}

  /**
   * The variant with these constants; the same object for the same constants.
   * @param what says in the label what the variant does. Default: its constants
   */
  variant(constants: Constants = {}, what?: string): Variant {
    let branch = this.#variants
    for (const name in constants) branch = step(branch, name, constants[name] as Constant)
    branch.variant ??= new Variant(this, constants, labelOf(this.name, constants, what))
    return branch.variant
  }
}

type Constant = Constants[string]

/**
 * Variants by their constants, one after the other: looked up at every launch, where joining names and values to a key
 * takes several times as long.
 */
interface Branch {
  /** The variant that has no further constants. */
  variant: Variant | undefined
  /** The constant that comes next, and where its values lead. */
  name: string | undefined
  readonly byValue: Map<Constant, Branch>
  /** For another constant in this place. */
  otherwise: Branch | undefined
}

const emptyBranch = (): Branch => ({ variant: undefined, name: undefined, byValue: new Map(), otherwise: undefined })

function step(from: Branch, name: string, value: Constant): Branch {
  let branch = from
  branch.name ??= name
  while (branch.name !== name) {
    branch = branch.otherwise ??= emptyBranch()
    branch.name ??= name
  }
  let next = branch.byValue.get(value)
  if (!next) branch.byValue.set(value, (next = emptyBranch()))
  return next
}

function labelOf(name: string, constants: Constants, what?: string): string {
  const listed =
    what ??
    Object.entries(constants)
      .map(([key, value]) => `${key}=${value}`)
      .join()
  return listed ? `${name}[${listed}]` : name
}

const all = new Map<string, Kernel>()

/**
 * Declares a kernel. docs/custom-ops.md says how its text binds buffers and params, and which directives it may use.
 * @param name unique: it names the file, the profiler's rows and the bench's rows
 * @param source WGSL with directives, and an entry point `main`
 * @throws Ld3mError `option` if there is a kernel of that name already
 */
export function defineKernel(name: string, source: string): Kernel {
  if (all.has(name)) {
    throw optionError(
      `defineKernel: there is a kernel '${name}' already.`,
      'Give each a name of its own, and define it once.',
    )
  }
  const kernel = new Kernel(name, source)
  all.set(name, kernel)
  return kernel
}

/** Every kernel defined so far, by name. */
export const kernels: ReadonlyMap<string, Kernel> = all
