import type { Tensor } from '../tensor.ts'
import { scale } from './arithmetic.ts'
import { type Axes, type ReduceOptions, resolveAxes, sum } from './sum.ts'

/** Mean over `axes` (all if omitted). */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const list = resolveAxes('mean', x, axes)
  const count = list.reduce((n, a) => n * (x.shape[a] as number), 1)
  return scale(sum(x, list, options), 1 / count)
}
