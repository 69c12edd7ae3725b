import { type HostRandom, ops, random, type Tensor } from '../autograd/index.ts'

/**
 * Zeroes elements of x with probability `rate` and scales the others by 1/(1 − rate), so that the mean stays (Srivastava
 * et al. 2014).
 * @param rate 0…1, below 1
 * @param draws what decides, in training; x itself where there is none
 */
export function dropout(x: Tensor, rate: number, draws: HostRandom | undefined): Tensor {
  if (!draws || rate === 0) return x
  const uniform = random.uniform(x.device, x.shape, { seed: draws.integer(2 ** 31), stream: 0 })
  const kept = ops.greaterEqual(uniform, ops.fill(x.device, [], rate))
  return ops.mul(x, ops.scale(kept, 1 / (1 - rate)))
}
