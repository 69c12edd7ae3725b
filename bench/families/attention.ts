import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

/** Self-attention over the positions of a map. */
const SIZES: { readonly full: readonly kernels.AttentionSizes[]; readonly quick: readonly kernels.AttentionSizes[] } = {
  full: [
    { batch: 256, queries: 16, keys: 16, depth: 32, width: 32 },
    { batch: 64, queries: 64, keys: 64, depth: 32, width: 32 },
    { batch: 2, queries: 1024, keys: 1024, depth: 32, width: 32 },
    { batch: 8, queries: 1024, keys: 1024, depth: 64, width: 64 },
    { batch: 2, queries: 256, keys: 256, depth: 512, width: 512 },
  ],
  quick: [
    { batch: 2, queries: 5, keys: 3, depth: 4, width: 6 },
    { batch: 2, queries: 5, keys: 36, depth: 4, width: 6 },
  ],
}

const attentions = rowsFor<kernels.AttentionSizes>(SIZES, (sizes) => {
  const { batch, queries, keys, depth, width } = sizes
  const shape = `${batch}× ${queries}·${keys}, ${depth}, ${width}`
  const inputs = {
    q: floats(batch * queries * depth),
    k: floats(batch * keys * depth),
    v: floats(batch * keys * width),
  }
  const scale = 1 / Math.sqrt(depth)
  const arrived = floats(batch * queries * width)
  const all = { ...inputs, output: arrived, grad: arrived, lse: floats(batch * queries, 4, 5) }
  return [
    row('attention', shape, inputs, (device, { q, k, v }) => ({ ...kernels.attention(device, q, k, v, sizes, scale) })),
    row('attentionGrad', shape, all, (device, buffers) => {
      const [dq, dk, dv] = kernels.attentionGrad(device, buffers, [true, true, true], sizes, scale)
      return { dq: dq!, dk: dk!, dv: dv! }
    }),
  ]
})

export const attention = family('attention', attentions)
