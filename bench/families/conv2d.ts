import * as kernels from '../../src/kernels/index.ts'
import { family, floats, halves, row, rowsFor } from '../harness.ts'

interface Size {
  readonly n: number
  readonly c: number
  /** Side of the square map. */
  readonly size: number
  readonly o: number
  readonly kernel?: number
  readonly stride?: number
}

/** The layers of a student, a denoiser and an autoencoder, and what is hard: small maps with many channels. */
const SIZES: { readonly full: readonly Size[]; readonly quick: readonly Size[] } = {
  full: [
    { n: 64, c: 1, size: 32, o: 32 },
    { n: 64, c: 32, size: 16, o: 32 },
    { n: 128, c: 64, size: 8, o: 64 },
    { n: 128, c: 32, size: 8, o: 64, stride: 2 },
    { n: 128, c: 64, size: 8, o: 64, kernel: 1 },
    { n: 64, c: 16, size: 32, o: 16 },
    { n: 8, c: 128, size: 16, o: 128 },
    { n: 2, c: 512, size: 8, o: 512 },
    { n: 4, c: 16, size: 16, o: 16, kernel: 7 },
  ],
  quick: [
    { n: 2, c: 3, size: 6, o: 4 },
    { n: 2, c: 32, size: 8, o: 32 },
    { n: 2, c: 32, size: 8, o: 32, stride: 2 },
    { n: 2, c: 32, size: 8, o: 32, kernel: 1 },
    { n: 2, c: 3, size: 6, o: 4, kernel: 7 },
  ],
}

const convolutions = rowsFor<Size>(SIZES, ({ n, c, size, o, kernel = 3, stride = 1 }) => {
  const pad = Math.floor(kernel / 2)
  const out = Math.floor((size + 2 * pad - kernel) / stride) + 1
  const sizes = { n, c, h: size, w: size, o, ho: out, wo: out, kh: kernel, kw: kernel, stride, top: pad, left: pad }
  const shape = `${n}×${c}×${size}² → ${o}, ${kernel}×${kernel}${stride > 1 ? `/${stride}` : ''}`
  const x = floats(n * c * size * size)
  const weight = floats(o * c * kernel * kernel)
  const grad = floats(n * o * out * out)
  return [
    row('conv2d', shape, { x, weight, bias: floats(o) }, (device, { x, weight, bias }) =>
      kernels.conv2d(device, x, weight, sizes, { bias }),
    ),
    row('conv2d, f16 weight', shape, { x, weight: halves(weight.count), bias: floats(o) }, (device, b) =>
      kernels.conv2d(device, b.x, b.weight, sizes, { bias: b.bias }, { right: true }),
    ),
    row('conv2dInputGrad', shape, { grad, weight }, (device, { grad, weight }) =>
      kernels.conv2dInputGrad(device, grad, weight, sizes),
    ),
    row('conv2dWeightGrad', shape, { x, grad }, (device, { x, grad }) =>
      kernels.conv2dWeightGrad(device, x, grad, sizes),
    ),
  ]
})

export const conv2d = family('conv2d', convolutions)
