import { Ld3mError, shapeError } from '../errors.ts'
import { expectList } from './arguments.ts'
import { gradientByRecording } from './decompose.ts'
import { Node, save } from './node.ts'
import { scope } from './scope.ts'
import { expectResult, expectTensors, isRecording, noGrad, Tensor } from './tensor.ts'

/**
 * f(...xs), keeping only `xs` for the backward pass and computing `f` again there: memory for time. Checkpoints nest
 * to any depth, and their gradients can be differentiated. `f` must give the same result each time, and every tensor
 * that needs a gradient must be passed in `xs`, since no gradient would flow to what `f` merely closes over: the
 * backward pass throws Ld3mError `graph` where it finds such a tensor.
 * @throws Ld3mError `shape` if an input that needs a gradient is f16
 */
export function checkpoint(f: (...xs: Tensor[]) => Tensor, xs: readonly Tensor[]): Tensor {
  expectList('checkpoint', 'xs', xs)
  expectTensors('checkpoint', xs)
  if (isRecording() && xs.some((x) => x.node && x.dtype !== 'f32')) {
    throw shapeError(
      'checkpoint: gradients do not pass through inputs in f16.',
      'Give it the f32 tensor that toHalf converts.',
    )
  }
  // A handle of our own: f may return one of its inputs, or a tensor of the caller's.
  const y = scope(() => noGrad(() => expectResult('checkpoint', f(...xs.map((x) => x.detach()))).alias()))
  if (!isRecording() || !xs.some((x) => x.node)) return y
  const saved = xs.map(save)
  const recompute = (...points: Tensor[]) => {
    const again = f(...points)
    rejectClosedOver(again, points)
    return again
  }
  const node = new Node(
    'checkpoint',
    xs.map((x) => x.node),
    saved,
    (self, backward) => {
      const inputs = saved.map((_, i) => {
        const s = self.saved(i)
        return new Tensor(s.storage.retain(), s.shape, s.dtype, s.node)
      })
      return gradientByRecording(recompute, inputs, backward)
    },
  )
  const result = new Tensor(y.storage.retain(), y.shape, y.dtype, node)
  y.dispose()
  return result
}

/** Throws if y's graph reaches past the points that `f` was given: to something that is older than they are. */
function rejectClosedOver(y: Tensor, points: readonly Tensor[]): void {
  const seen = new Set<Node>()
  for (const { node } of points) if (node) seen.add(node)
  let oldest = Number.POSITIVE_INFINITY
  for (const { id } of seen) oldest = Math.min(oldest, id)
  const stack = [y.node]
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    if (node.id < oldest) {
      throw new Ld3mError(
        'graph',
        `checkpoint: the function closes over a tensor that requires a gradient (${node.name === 'leaf' ? 'a leaf' : `a result of '${node.name}'`}) and is not among its inputs.`,
        'Pass it in xs, or detach() it if no gradient is wanted.',
      )
    }
    for (const parent of node.parents) if (parent) stack.push(parent)
  }
}
