import type { Tensor } from '../../autograd/index.ts'
import { optionError } from '../../errors.ts'
import { avgPoolHalf, compose, conv2d, identity, instanceNorm, relu, sequential } from '../layers.ts'
import { positiveIntegers } from '../options.ts'
import { flatten, inputShapeOf, type Student, type StudentOptions, student } from './student.ts'

export interface ConvNetOptions extends StudentOptions {
  /** Number of blocks; each halves the image. Default 3, for 32×32; the paper uses 5 for 128×128 and 6 for 256×256. */
  depth?: number
  /** Channels of every block. Default 128. */
  width?: number
  /** Default `instance`. */
  norm?: 'instance' | 'none'
}

/**
 * ConvNet-d of Gidaris & Komodakis (2018), the student of most distillation papers: d times 3×3 convolution, instance
 * norm, ReLU and 2×2 average pooling, then a linear classifier.
 */
export function convNet(options: ConvNetOptions): Student {
  const where = 'convNet'
  const inputShape = inputShapeOf(where, options, ['depth', 'width', 'norm'])
  const { classes, depth = 3, width = 128, norm = 'instance' } = options
  positiveIntegers(where, { depth, width })
  if (norm !== 'instance' && norm !== 'none') {
    throw optionError(`convNet: unknown norm '${norm}'.`, "Use 'instance' or 'none'.")
  }
  const [channels, height, columns] = inputShape
  const [h, w] = [Math.floor(height / 2 ** depth), Math.floor(columns / 2 ** depth)]
  if (h * w < 1) {
    throw optionError(
      `convNet: ${depth} blocks halve ${height}×${columns} images to nothing.`,
      `Use a depth of at most ${Math.floor(Math.log2(Math.min(height, columns)))}.`,
    )
  }
  const blocks = Array.from({ length: depth }, (_, d) => [
    conv2d(d === 0 ? channels : width, width, { kernel: 3, padding: 1 }),
    // The identity keeps the place, and so the names of what follows, of the activation that the norm computes.
    ...(norm === 'instance' ? [instanceNorm(width, { activation: 'relu' }), identity] : [relu]),
    avgPoolHalf,
  ])
  const extractor = compose({ features: sequential(blocks.flat()) }, ({ features }, x: Tensor) => flatten(features(x)))
  return student(`ConvNet-${depth}`, inputShape, classes, extractor, width * h * w)
}
