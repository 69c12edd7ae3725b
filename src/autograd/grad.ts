import { formatValue, Ld3mError, optionError, rejectNonBooleans, rejectUnknownOptions, shapeError } from '../errors.ts'
import { expectList } from './arguments.ts'
import { freedError, type Node } from './node.ts'
import { add } from './ops/arithmetic.ts'
import { fill } from './ops/fill.ts'
import { scope } from './scope.ts'
import { formatShape, sameShape } from './shape.ts'
import { expectTensors, Tensor, withRecording, zeros } from './tensor.ts'

export interface GradOptions {
  /** The gradient of some scalar with respect to `y`, of `y`'s shape. Default 1, for a `y` of one element. */
  gradOutput?: Tensor
  /** Record the backward pass, so that the gradients can be differentiated again. Default false. */
  createGraph?: boolean
  /** Keep what the graph saved, for another gradient through it. Default: the value of `createGraph`. */
  retainGraph?: boolean
  /** Give zeros for inputs that `y` does not depend on, instead of an error. Default false. */
  allowUnused?: boolean
}

/**
 * Gradients of `y` with respect to each of `xs`, of their shapes. `xs` may be leaves or any tensors that `y` was
 * computed from. Reverse mode: one backward pass for all of them.
 * @throws Ld3mError `graph` if `y` does not depend on an input, or only through an op that has no gradient, its graph was
 * freed, or a tensor was disposed
 */
export function grad(y: Tensor, xs: readonly Tensor[], options: GradOptions = {}): Tensor[] {
  rejectUnknownOptions('grad', options, ['gradOutput', 'createGraph', 'retainGraph', 'allowUnused'])
  const { gradOutput, createGraph = false, retainGraph = createGraph, allowUnused = false } = options
  rejectNonBooleans('grad', { createGraph, retainGraph, allowUnused })
  if (!(y instanceof Tensor)) throw optionError(`grad: y is ${formatValue(y)}, not a tensor.`, 'Pass y, then xs.')
  expectList('grad', 'xs', xs)
  expectTensors('grad', xs)
  if (gradOutput !== undefined && !(gradOutput instanceof Tensor)) {
    throw optionError(`grad: gradOutput is ${formatValue(gradOutput)}, not a tensor.`, "Pass one of y's shape.")
  }
  // A disposed tensor has lost its place in the graph too: it would look like one that nothing depends on.
  for (const { storage } of [y, ...xs]) void storage
  if (!gradOutput && y.size !== 1) {
    throw shapeError(
      `grad: y has shape ${formatShape(y.shape)}; without gradOutput it must have one element.`,
      'Reduce it to a scalar, or pass gradOutput.',
    )
  }
  if (gradOutput && !sameShape(gradOutput.shape, y.shape)) {
    throw shapeError(
      `grad: gradOutput has shape ${formatShape(gradOutput.shape)}, y has ${formatShape(y.shape)}.`,
      "Pass one of y's shape.",
    )
  }
  if (gradOutput && gradOutput.dtype !== 'f32') {
    throw shapeError(`grad: gradOutput is ${gradOutput.dtype}; gradients are f32.`, 'Convert it first.')
  }
  if (!y.node && y.cut && !allowUnused) {
    const what = `grad: y has no graph, since '${y.cut.op}' has no gradient: ${y.cut.reason}.`
    throw new Ld3mError('graph', what, 'Compute y without it, or pass allowUnused: true for zeros.')
  }
  const seed = () => gradOutput ?? fill(y.device, y.shape, 1)
  return gradientsFrom(y.node, seed, xs, { createGraph, retainGraph, allowUnused })
}

/**
 * `grad` by y's place in the graph, for callers that no longer hold y's elements.
 * @param gradOutput gives the gradient with respect to y; called if y depends on an input
 */
export function gradientsFrom(
  root: Node | undefined,
  gradOutput: () => Tensor,
  xs: readonly Tensor[],
  { createGraph, retainGraph, allowUnused }: Required<Omit<GradOptions, 'gradOutput'>>,
): Tensor[] {
  const targets = new Set<Node>()
  for (const [i, x] of xs.entries()) {
    if (x.dtype !== 'f32') {
      const fix = x.dtype === 'f16' ? 'Take it with respect to the f32 tensor that toHalf converts.' : 'Leave it out.'
      throw shapeError(`grad: input ${i}, of shape ${formatShape(x.shape)}, is ${x.dtype}; gradients are f32.`, fix)
    }
    if (x.node) targets.add(x.node)
    else if (!allowUnused) throw unusedError(i, x, 'does not require a gradient', CREATE)
  }
  const order = root ? nodesBetween(root, targets) : []

  return scope(() =>
    withRecording(createGraph, () => {
      /** Gradients that have arrived at nodes not yet visited, and at targets, by output. Each is a handle of our own. */
      const arrived: Arrived = new Map()
      const onPath = new Set(order)
      if (root && onPath.has(root)) arrived.set(root, [gradOutput().alias()])
      for (const node of order) {
        const grads = arrived.get(node)
        if (!grads) continue
        const needs = node.parents.map((p) => p !== undefined && onPath.has(p))
        if (node.output > 0) {
          accumulate(arrived, node.parents[0] as Node, node.output, grads[0] as Tensor)
        } else if (needs.includes(true)) {
          if (node.freed) throw freedError(node.name)
          const parents = node.parents
          scope(() => {
            // What the gradients were computed from is freed before they are added to others.
            const gradients = scope(() => {
              const backward = node.backward as NonNullable<Node['backward']>
              const grad = grads[0] as Tensor
              const take = (i: number) => takeFrom(arrived, parents[i] as Node)
              return backward(node, { grad, grads, needs, createGraph, retainGraph, take }).filter((_, i) => needs[i])
            })
            if (!retainGraph) node.free()
            let next = 0
            return parents.map((parent, i) => {
              if (!parent || !needs[i]) return undefined
              return accumulate(arrived, parent, 0, gradients[next++] as Tensor)
            })
          })
        }
        if (!targets.has(node)) {
          arrived.delete(node)
          for (const gradient of grads) gradient?.dispose()
        }
      }
      return xs.map((x, i) => {
        const gradient = x.node && arrived.get(x.node)?.[0]
        if (gradient) return gradient.alias()
        if (!allowUnused) throw root ? unusedError(i, x, 'is not used to compute y', ZEROS) : unrecordedError(i, x)
        return zeros(x.device, x.shape)
      })
    }),
  )
}

type Arrived = Map<Node, (Tensor | undefined)[]>

/** Adds a gradient to what has arrived at a node's output; the sum is a handle of its own, which is returned. */
function accumulate(arrived: Arrived, node: Node, output: number, gradient: Tensor): Tensor {
  const grads = arrived.get(node) ?? []
  const before = grads[output]
  const sum = before ? add(before, gradient) : gradient.alias()
  before?.dispose()
  grads[output] = sum
  arrived.set(node, grads)
  return sum
}

/** Takes the gradient that has arrived at a node's first output; the scope around owns it. */
function takeFrom(arrived: Arrived, node: Node): Tensor | undefined {
  const grads = arrived.get(node)
  const before = grads?.[0]
  if (!grads || !before) return undefined
  grads[0] = undefined
  const taken = before.alias()
  before.dispose()
  return taken
}

/** The nodes on paths from `root` back to `targets`, in the order of the backward pass. */
function nodesBetween(root: Node, targets: ReadonlySet<Node>): Node[] {
  let first = Number.POSITIVE_INFINITY
  for (const target of targets) first = Math.min(first, target.id)
  const seen = new Set<Node>([root])
  const stack = [root]
  for (let node = stack.pop(); node; node = stack.pop()) {
    for (const parent of node.parents) {
      if (parent && parent.id >= first && !seen.has(parent)) {
        seen.add(parent)
        stack.push(parent)
      }
    }
  }
  const ascending = [...seen].sort((a, b) => a.id - b.id)
  const reaches = new Set<Node>()
  for (const node of ascending) {
    if (targets.has(node) || node.parents.some((p) => p && reaches.has(p))) reaches.add(node)
  }
  return ascending.filter((n) => reaches.has(n)).reverse()
}

const ZEROS = 'Leave it out, or pass allowUnused: true for zeros.'
const CREATE =
  'Create it with requiresGrad: true (or x.leaf()) before computing y, or pass allowUnused: true for zeros.'

const unusedError = (index: number, x: Tensor, why: string, fix: string): Ld3mError =>
  new Ld3mError('graph', `grad: input ${index}, of shape ${formatShape(x.shape)}, ${why}.`, fix)

const unrecordedError = (index: number, x: Tensor): Ld3mError =>
  unusedError(
    index,
    x,
    'has a graph, but y has none',
    'If y comes of a gradient, take that with createGraph: true; do not compute y in noGrad. Or it is constant: pass ' +
      'allowUnused: true for zeros.',
  )
