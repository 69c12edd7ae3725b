import { grad, ops, type Shape, Storage, scope, Tensor } from '../../src/autograd/index.ts'
import type { Device, GpuBuffer } from '../../src/gpu/index.ts'
import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

/** A tensor over a row's input, which outlives it. */
const borrowed = (device: Device, buffer: GpuBuffer | undefined, shape: Shape): Tensor =>
  new Tensor(new Storage(device, buffer as GpuBuffer).retain(), shape).leaf()

/** silu((2a + 1)·b + c), as one launch and as four. */
const chain = rowsFor<number>({ full: [2 ** 16, 2 ** 22], quick: [100] }, (n) => {
  const inputs = { a: floats(n), b: floats(n), c: floats(n) }
  return [
    row('affine·mul·add·silu, fused', `${n}`, inputs, (device, { a, b, c }) =>
      scope(() => {
        const [x, y, z] = [a, b, c].map((buffer) => borrowed(device, buffer, [n])) as [Tensor, Tensor, Tensor]
        ops.silu(ops.add(ops.mul(ops.affine(x, 2, 1), y), z)).buffer
      }),
    ),
    row('affine, mul, add, silu', `${n}`, inputs, (device, { a, b, c }) => {
      const scaled = kernels.unary(device, 'AFFINE', a, n, 2, 1)
      const product = kernels.binary(device, 'MUL', scaled, [n], b, [n], [n])
      const sum = kernels.binary(device, 'ADD', product, [n], c, [n], [n])
      for (const buffer of [scaled, product, sum]) device.release(buffer)
      return kernels.unary(device, 'SILU', sum, n)
    }),
  ]
})

/** x + conv(silu(norm(conv(silu(norm(x)))))), the block that UNets and autoencoders are made of. */
const block = rowsFor<[n: number, c: number, size: number, groups: number]>(
  { full: [[64, 32, 16, 8]], quick: [[2, 4, 4, 2]] },
  ([n, c, size, groups]) => {
    const shape = [n, c, size, size]
    const maps = n * c * size * size
    const parameters = { w1: floats(c * c * 9), w2: floats(c * c * 9), s1: floats(c), s2: floats(c), b: floats(c) }
    const forward = (x: Tensor, { w1, w2, s1, s2, b }: Readonly<Record<string, GpuBuffer>>) => {
      const { device } = x
      const half = (h: Tensor, w: Tensor, scale: Tensor) => {
        const bias = borrowed(device, b, [c])
        const z = ops.groupNorm(h, { groups, weight: scale, bias, activation: 'silu' })
        return ops.conv2d(z, w, { padding: 1, bias })
      }
      const leaves = [w1, w2].map((w) => borrowed(device, w, [c, c, 3, 3])) as [Tensor, Tensor]
      const scales = [s1, s2].map((s) => borrowed(device, s, [c])) as [Tensor, Tensor]
      const y = ops.add(x, half(half(x, leaves[0], scales[0]), leaves[1], scales[1]))
      return { y, leaves: [...leaves, ...scales] }
    }
    const text = `${n}×${c}×${size}²`
    return [
      row('residual block', text, { x: floats(maps), ...parameters }, (device, { x, ...rest }) =>
        scope(() => {
          forward(borrowed(device, x, shape), rest).y.buffer
        }),
      ),
      row('residual block and back', text, { x: floats(maps), g: floats(maps), ...parameters }, (device, inputs) =>
        scope(() => {
          const x = borrowed(device, inputs.x, shape)
          const { y, leaves } = forward(x, inputs)
          y.buffer
          for (const g of grad(y, [x, ...leaves], { gradOutput: borrowed(device, inputs.g, shape) })) g.buffer
        }),
      ),
    ]
  },
)

export const fusion = family('fusion', chain, block)
