import { ops, type Tensor } from '../autograd/index.ts'

/** [N, T, C] → [N·heads, T, C/heads]: heads of attention are a batch. */
export function splitHeads(x: Tensor, heads: number): Tensor {
  if (heads === 1) return x
  const [n, tokens, channels] = x.shape as [number, number, number]
  const split = ops.permute(ops.reshape(x, [n, tokens, heads, channels / heads]), [0, 2, 1, 3])
  return ops.reshape(split, [n * heads, tokens, channels / heads])
}

/** The inverse of splitHeads. */
export function joinHeads(x: Tensor, heads: number): Tensor {
  if (heads === 1) return x
  const [batch, tokens, channels] = x.shape as [number, number, number]
  const joined = ops.permute(ops.reshape(x, [batch / heads, heads, tokens, channels]), [0, 2, 1, 3])
  return ops.reshape(joined, [batch / heads, tokens, heads * channels])
}
