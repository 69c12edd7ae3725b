import { expectShape, ops, type Tensor, tensor } from '../../autograd/index.ts'
import { optionError } from '../../errors.ts'

const MAX_PERIOD = 10_000

/**
 * Sinusoidal embedding of diffusion timesteps: cos(t·fⱼ), then sin(t·fⱼ), with fⱼ = 10000^(−j/(dim/2)).
 * timestep: f32 [N] → [N, dim].
 */
export function timestepEmbedding(timestep: Tensor, dim: number): Tensor {
  if (!Number.isInteger(dim) || dim < 2 || dim % 2 !== 0) {
    throw optionError(`timestepEmbedding: dim must be an even integer of at least 2, got ${dim}.`, 'Change dim.')
  }
  expectShape('timestepEmbedding', timestep.shape, ['N'])
  const half = dim / 2
  const frequencies = Float32Array.from({ length: half }, (_, j) => MAX_PERIOD ** (-j / half))
  const angles = ops.mul(ops.reshape(timestep, [-1, 1]), tensor(timestep.device, frequencies))
  return ops.concat([ops.cos(angles), ops.sin(angles)], 1)
}
