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
  readonly #variants = new Map<string, Variant>()

  constructor(
    readonly name: string,
    readonly source: string,
  ) {}

  /**
   * The variant with these constants; the same object for the same constants.
   * @param what says in the label what the variant does. Default: its constants
   */
  variant(constants: Constants = {}, what?: string): Variant {
    let key = ''
    for (const name in constants) key += `${name}=${constants[name]},`
    let variant = this.#variants.get(key)
    if (!variant) {
      const inside = what ?? key.slice(0, -1)
      variant = new Variant(this, constants, inside ? `${this.name}[${inside}]` : this.name)
      this.#variants.set(key, variant)
    }
    return variant
  }
}

const all = new Map<string, Kernel>()

/** Declares a kernel. Names are unique: they name the file, the profiler's rows and the bench's rows. */
export function defineKernel(name: string, source: string): Kernel {
  if (all.has(name)) throw new Error(`kernel ${name} is defined twice`)
  const kernel = new Kernel(name, source)
  all.set(name, kernel)
  return kernel
}

/** Every kernel defined so far, by name. */
export const kernels: ReadonlyMap<string, Kernel> = all
