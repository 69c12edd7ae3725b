import type { Tensor } from '../../autograd/index.ts'
import { optionError } from '../../errors.ts'
import { compose, conv2d, maxPoolHalf, relu, sequential } from '../layers.ts'
import { positiveIntegerList } from '../options.ts'
import { flatten, inputShapeOf, type Student, type StudentOptions, student } from './student.ts'

export interface AlexNetOptions extends StudentOptions {
  /** Channels of the convolutions: two of 5×5, then any number of 3×3. Default 128, 192, 256, 192, 192. */
  widths?: readonly number[]
}

/**
 * AlexNet as distillation papers use it: two 5×5 convolutions, each with ReLU and 2×2 max pooling, then 3×3
 * convolutions with ReLU and (if there are any) one more max pooling. No norm, no dropout.
 */
export function alexNet(options: AlexNetOptions): Student {
  const where = 'alexNet'
  const inputShape = inputShapeOf(where, options, ['widths'])
  const { classes, widths = [128, 192, 256, 192, 192] } = options
  positiveIntegerList(where, 'widths', widths)
  if (widths.length < 2) throw optionError(`alexNet: got ${widths.length} widths.`, 'Give at least two.')
  const [channels, height, columns] = inputShape
  const shrink = widths.length > 2 ? 8 : 4
  const [h, w] = [Math.floor(height / shrink), Math.floor(columns / shrink)]
  if (h * w < 1) {
    throw optionError(`alexNet: ${height}×${columns} images are too small.`, `Use at least ${shrink}×${shrink}.`)
  }
  const layers = widths.map((width, i) => {
    const [kernel, padding] = i < 2 ? [5, 2] : [3, 1]
    const pooled = i < 2 || i === widths.length - 1
    const conv = conv2d(i === 0 ? channels : (widths[i - 1] as number), width, { kernel, padding })
    return [conv, relu, ...(pooled ? [maxPoolHalf] : [])]
  })
  const extractor = compose({ features: sequential(layers.flat()) }, ({ features }, x: Tensor) => flatten(features(x)))
  return student('AlexNet', inputShape, classes, extractor, (widths.at(-1) as number) * h * w, {
    classifierName: 'fc',
  })
}
