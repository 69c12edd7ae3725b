import { gradientByRecording } from './decompose.ts'
import { Node } from './node.ts'
import { scope } from './scope.ts'
import { isRecording, noGrad, Tensor } from './tensor.ts'

/**
 * f(...xs), keeping only `xs` for the backward pass and computing `f` again there: memory for time. Checkpoints nest
 * to any depth, and their gradients can be differentiated. `f` must give the same result each time, and every tensor
 * that needs a gradient must be passed in `xs`: no gradient flows to tensors that `f` merely closes over.
 */
export function checkpoint(f: (...xs: Tensor[]) => Tensor, xs: readonly Tensor[]): Tensor {
  const y = scope(() => noGrad(() => f(...xs.map((x) => x.detach()))))
  if (!isRecording() || !xs.some((x) => x.node)) return y
  const saved = xs.map((x) => ({ storage: x.storage.retain(), shape: x.shape, dtype: x.dtype, node: x.node }))
  const node = new Node(
    'checkpoint',
    xs.map((x) => x.node),
    saved,
    (self, backward) => {
      const inputs = saved.map((_, i) => {
        const s = self.saved(i)
        return new Tensor(s.storage.retain(), s.shape, s.dtype, s.node)
      })
      return gradientByRecording(f, inputs, backward)
    },
  )
  const result = new Tensor(y.storage.retain(), y.shape, y.dtype, node)
  y.dispose()
  return result
}
