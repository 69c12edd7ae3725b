import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

const UNARY: readonly kernels.UnaryFunction[] = ['AFFINE', 'SILU', 'GELU', 'SIN']

const dense = rowsFor<number>({ full: [2 ** 16, 2 ** 22], quick: [100] }, (n) => [
  ...UNARY.map((f) => row(`unary ${f}`, `${n}`, { x: floats(n) }, (device, { x }) => kernels.unary(device, f, x, n))),
  row('binary ADD', `${n}`, { a: floats(n), b: floats(n) }, (device, { a, b }) =>
    kernels.binary(device, 'ADD', a, [n], b, [n], [n]),
  ),
  row('binary SILU_GRAD', `${n}`, { g: floats(n), x: floats(n) }, (device, { g, x }) =>
    kernels.binary(device, 'SILU_GRAD', g, [n], x, [n], [n]),
  ),
  row('fill', `${n}`, {}, (device) => kernels.fill(device, n, 1)),
])

/** A map with one number a channel, as a bias or an affine norm has it. */
const broadcast = rowsFor<[n: number, c: number, size: number]>(
  { full: [[64, 32, 32]], quick: [[2, 3, 4]] },
  ([n, c, size]) => {
    const shape = [n, c, size, size]
    const channels = [1, c, 1, 1]
    const count = n * c * size * size
    const inputs = { x: floats(count), b: floats(c) }
    const text = `${n}×${c}×${size}² with ${c}`
    return [
      row('binary MUL', text, inputs, (device, { x, b }) =>
        kernels.binary(device, 'MUL', x, shape, b, channels, shape),
      ),
      row('broadcast', text, { b: floats(c) }, (device, { b }) => kernels.broadcast(device, b, channels, shape)),
      row('select', text, { ...inputs, condition: floats(count) }, (device, { condition, x, b }) =>
        kernels.select(device, condition, shape, x, shape, b, channels, shape),
      ),
    ]
  },
)

export const elementwise = family('elementwise', dense, broadcast)
