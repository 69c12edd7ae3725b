import { ops, scope, type Tensor } from '../../autograd/index.ts'
import { chunksOf } from '../chunks.ts'

/** Real images that go through a network at once, where an option does not say otherwise. */
export const MICRO_BATCH = 256

/**
 * Σ over micro-batches of f(micro-batch, its share of the batch), so that a mean weighted by the share becomes the mean
 * over the whole batch, exact but for the order of additions.
 * @param batch [N, …]
 * @param size of a micro-batch, at most
 * @param f called in a scope of its own
 */
export function sumOverMicroBatches(
  batch: Tensor,
  size: number,
  f: (part: Tensor, share: number) => readonly Tensor[],
): readonly Tensor[] {
  const [count] = batch.shape as [number]
  let sums: readonly Tensor[] = []
  for (const [first, end] of chunksOf(count, size)) {
    const before = sums
    sums = scope(() => {
      const part = f(ops.slice(batch, 0, first, end), (end - first) / count)
      return before.length === 0 ? part : part.map((t, i) => ops.add(before[i] as Tensor, t))
    })
    for (const t of before) t.dispose()
  }
  return sums
}
