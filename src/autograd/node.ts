import { Ld3mError } from '../errors.ts'
import { type DType, formatShape, type Shape } from './shape.ts'
import type { Storage } from './storage.ts'
import type { Tensor } from './tensor.ts'

/** A tensor kept by the graph: its storage and its own place in the graph. */
export interface Saved {
  readonly storage: Storage
  readonly shape: Shape
  readonly dtype: DType
  readonly node: Node | undefined
  /** The storage's, when it was saved. */
  readonly version: number
}

/** A reference of a graph's own. */
export const save = ({ storage, shape, dtype, node }: Omit<Saved, 'version'>): Saved => ({
  ...{ storage: storage.retain(), shape, dtype, node },
  version: storage.version,
})

/** What a node's gradient function gets. */
export interface Backward {
  /** The gradient that arrives at the output. Ops of several outputs read `grads`: none may arrive at the first. */
  readonly grad: Tensor
  /** The gradients that arrive at the outputs, in their order; undefined where none does. */
  readonly grads: readonly (Tensor | undefined)[]
  /** Which inputs need a gradient. */
  readonly needs: readonly boolean[]
  /** True if the gradient is itself to be differentiated. */
  readonly createGraph: boolean
  /** True if the node is to be gone through again: what it saved stays. */
  readonly retainGraph: boolean
  /** Takes what has arrived at an input from elsewhere so far, if anything has: the rule adds it to its own gradient. */
  take(input: number): Tensor | undefined
}

/** Computes the gradients with respect to the inputs; entries that are not needed may be undefined. */
export type BackwardFunction = (node: Node, backward: Backward) => readonly (Tensor | undefined)[]

/**
 * A place in the graph: one operation and its first differentiable output, a further output of an operation, or a leaf.
 * Nodes count their references (tensors, and nodes that consume them), so that what they saved is freed as soon as
 * nobody can ask for it.
 */
export class Node {
  static #count = 0
  /** Increases from inputs to outputs: descending order is a valid order for the backward pass. */
  readonly id = Node.#count++
  #references = 0
  #freed = false
  #saved: (Saved | undefined)[]
  #parents: readonly (Node | undefined)[]

  constructor(
    readonly name: string,
    parents: readonly (Node | undefined)[],
    /** Owned by the node: each entry's storage is released with it. */
    saved: (Saved | undefined)[],
    /** Undefined for a leaf and for a further output. */
    readonly backward: BackwardFunction | undefined,
    /** Which output of its only parent this is, if a further one: what arrives here is for that place of it. */
    readonly output = 0,
  ) {
    this.#parents = parents
    this.#saved = saved
    for (const parent of parents) parent?.retain()
    for (const entry of saved) entry?.node?.retain()
  }

  get parents(): readonly (Node | undefined)[] {
    return this.#parents
  }

  get freed(): boolean {
    return this.#freed
  }

  saved(index: number): Saved {
    if (this.#freed) throw freedError(this.name)
    const entry = this.#saved[index]
    if (!entry) throw unsavedError(this.name)
    if (entry.storage.version !== entry.version) throw changedError(this.name, entry.shape)
    return entry
  }

  /** Frees one of the tensors that the node saved. */
  freeSaved(index: number): void {
    const entry = this.#saved[index]
    this.#saved[index] = undefined
    entry?.storage.release()
    // It is also a parent, which this node still holds.
    entry?.node?.release()
  }

  retain(): void {
    this.#references++
  }

  release(): void {
    if (--this.#references > 0) return
    // A chain of thousands of nodes must not recurse.
    const unreferenced: Node[] = [this]
    for (let node = unreferenced.pop(); node; node = unreferenced.pop()) {
      node.#freeSaved(unreferenced)
      for (const parent of node.#parents) if (parent) parent.#drop(unreferenced)
      node.#parents = []
    }
  }

  /** Frees what the node saved: a gradient through it can no longer be taken. */
  free(): void {
    const unreferenced: Node[] = []
    this.#freeSaved(unreferenced)
    // Every saved place in the graph is also a parent, which this node still holds.
    if (unreferenced.length > 0) throw new Error(`${this.name}: saved a tensor that is not one of its inputs`)
  }

  #freeSaved(unreferenced: Node[]): void {
    if (this.#freed) return
    this.#freed = this.backward !== undefined
    for (const entry of this.#saved) {
      entry?.storage.release()
      if (entry?.node) entry.node.#drop(unreferenced)
    }
    this.#saved = []
  }

  #drop(unreferenced: Node[]): void {
    if (--this.#references === 0) unreferenced.push(this)
  }
}

const unsavedError = (name: string): Ld3mError =>
  new Ld3mError(
    'graph',
    `The vjp of '${name}' reads an input, output or extra that the op does not save, or that it has released.`,
    'Name what it reads in `saves`.',
  )

const changedError = (name: string, shape: Shape): Ld3mError =>
  new Ld3mError(
    'graph',
    `The graph behind '${name}' saved a tensor of shape ${formatShape(shape)} whose elements were changed in place since.`,
    "Take all gradients through it before an optimizer's step or write(), or compute the value again.",
  )

export const freedError = (name: string): Ld3mError =>
  new Ld3mError(
    'graph',
    `The graph behind '${name}' was freed by an earlier gradient.`,
    'Pass retainGraph: true (or createGraph: true) to the first grad, or compute the value again.',
  )
