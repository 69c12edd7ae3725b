import * as kernels from '../../src/kernels/index.ts'
import { family, floats, row, rowsFor } from '../harness.ts'

const SGD = { learningRate: 1e-6, momentum: 0.9, weightDecay: 0, nesterov: false }
const ADAM = { learningRate: 1e-6, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, step: 1 }

/** In-place updates of one parameter. */
const updates = rowsFor<number>({ full: [2 ** 12, 2 ** 20], quick: [10] }, (n) => {
  const parameter = floats(n)
  const gradient = floats(n)
  const moment = floats(n, 0, 1)
  return [
    row('sgdUpdate', `${n}`, { parameter, gradient, moment }, (device, { parameter, gradient, moment }) =>
      kernels.sgdUpdate(device, parameter, gradient, moment, n, SGD),
    ),
    row('adamUpdate', `${n}`, { parameter, gradient, moment, square: moment }, (device, buffers) =>
      kernels.adamUpdate(device, buffers.parameter, buffers.gradient, buffers.moment, buffers.square, n, ADAM),
    ),
    row('emaUpdate', `${n}`, { average: parameter, parameter }, (device, { average, parameter }) =>
      kernels.emaUpdate(device, average, parameter, n, 0.01),
    ),
  ]
})

export const optimizer = family('optimizer', updates)
