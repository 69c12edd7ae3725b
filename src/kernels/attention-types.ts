import type { GpuBuffer } from '../gpu/index.ts'

/** q: [batch, queries, depth], k: [batch, keys, depth], v: [batch, keys, width]. */
export interface AttentionSizes {
  readonly batch: number
  readonly queries: number
  readonly keys: number
  readonly depth: number
  readonly width: number
}

/** What the gradients of attention read: its inputs, results, and the gradient that arrives, of the output's shape. */
export interface AttentionInputs {
  readonly q: GpuBuffer
  readonly k: GpuBuffer
  readonly v: GpuBuffer
  readonly output: GpuBuffer
  readonly lse: GpuBuffer
  readonly grad: GpuBuffer
}
