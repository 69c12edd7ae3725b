import * as kernels from '../../src/kernels/index.ts'
import { family, floats, integers, row, rowsFor } from '../harness.ts'

type Size = readonly [rows: number, columns: number]

const along = rowsFor<Size>(
  {
    full: [
      [640, 10],
      [4096, 64],
      [256, 1000],
    ],
    quick: [
      [3, 4],
      [2, 40],
    ],
  },
  ([rows, columns]) => {
    const count = rows * columns
    const shape = `${rows}×${columns}`
    const labels = integers(rows, columns)
    const logits = floats(count)
    return [
      row('softmax', shape, { logits }, (device, { logits }) =>
        kernels.softmax(device, 'SOFTMAX', logits, rows, columns),
      ),
      row('softmaxGrad', shape, { grad: floats(count), y: floats(count, 0, 1) }, (device, { grad, y }) =>
        kernels.softmaxGrad(device, 'SOFTMAX_GRAD', grad, y, rows, columns),
      ),
      row('crossEntropy', shape, { logits, labels }, (device, { logits, labels }) =>
        kernels.crossEntropy(device, logits, labels, rows, columns),
      ),
      row('crossEntropyGrad', shape, { logits, labels, grad: floats(1) }, (device, { logits, labels, grad }) =>
        kernels.crossEntropyGrad(device, logits, labels, grad, rows, columns),
      ),
    ]
  },
)

export const softmax = family('softmax', along)
