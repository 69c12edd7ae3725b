import { gradientsFrom } from './grad.ts'
import { Node } from './node.ts'
import type { VjpContext } from './op.ts'
import { scope } from './scope.ts'
import { expectResult, Tensor, withRecording } from './tensor.ts'

/**
 * A tensor with x's elements and x's place in the graph one step behind it, so that gradients with respect to it are
 * partial ones even where inputs depend on each other.
 */
export function boundary(x: Tensor): Tensor {
  const node = new Node('identity', [x.node], [], (_, { grad }) => [grad])
  return new Tensor(x.storage.retain(), x.shape, x.dtype, node)
}

/**
 * Gradients of `f` at the given inputs by recording `f` and differentiating that: how fused kernels, whose backward
 * is a kernel too, are differentiated a second time, and how checkpoints recompute.
 * @param inputs the op's inputs, each at its place in the graph
 */
export function gradientByRecording(
  f: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { grad: gradOutput, needs, createGraph }: Pick<VjpContext<unknown>, 'grad' | 'needs' | 'createGraph'>,
): (Tensor | undefined)[] {
  return scope(() => {
    const points = inputs.map((x, i) => {
      // A gradient that is itself to be differentiated depends on all inputs, also where none is wanted here.
      if (createGraph) return x.node ? boundary(x) : x
      return needs[i] ? x.leaf() : x.detach()
    })
    const wanted = points.filter((_, i) => needs[i])
    const y = scope(() => withRecording(true, () => expectResult('gradientByRecording', f(...points)).alias()))
    // The elements of y are not needed, only its place in the graph. It is a handle of our own: f may return an input.
    const root = y.node
    root?.retain()
    y.dispose()
    try {
      const options = { createGraph, retainGraph: createGraph, allowUnused: true }
      const gradients = gradientsFrom(root, () => gradOutput, wanted, options)
      return needs.map((need) => (need ? gradients.shift() : undefined))
    } finally {
      root?.release()
    }
  })
}
