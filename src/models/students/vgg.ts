import { ops, type Tensor } from '../../autograd/index.ts'
import { optionError } from '../../errors.ts'
import { compose, conv2d, identity, instanceNorm, maxPoolHalf, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import { positiveIntegerList, positiveIntegers } from '../options.ts'
import { checkNormSize, flatten, inputShapeOf, type Student, type StudentOptions, student } from './student.ts'

/** Convolutions in each of VGG-11's stages. */
const VGG11 = [1, 1, 2, 2, 2]

export interface VggOptions extends StudentOptions {
  /** Channels of the five stages. Default 64, 128, 256, 512, 512. */
  widths?: readonly number[]
  /** Side of the map that the classifier sees, by adaptive max pooling. Default 7, the original's. */
  poolSize?: number
}

/**
 * VGG-11: stages of 1, 1, 2, 2 and 2 blocks of 3×3 convolution, instance norm and ReLU, each followed by 2×2 max
 * pooling, then adaptive max pooling and a linear classifier. Images below 32×32 skip poolings that would leave an
 * instance norm a single pixel.
 */
export function vgg(options: VggOptions): Student {
  const where = 'vgg'
  const inputShape = inputShapeOf(where, options, ['widths', 'poolSize'])
  const { classes, widths = [64, 128, 256, 512, 512], poolSize = 7 } = options
  positiveIntegers(where, { poolSize })
  positiveIntegerList(where, 'widths', widths)
  if (widths.length !== VGG11.length) {
    throw optionError(`vgg: got ${widths.length} widths.`, `Give one for each of the ${VGG11.length} stages.`)
  }
  const [channels, height, columns] = inputShape
  checkNormSize(where, height, columns)
  let inChannels = channels
  let side = Math.min(height, columns)
  const layers: Module[] = VGG11.flatMap((convs, stage) => {
    const width = widths[stage] as number
    const blocks = Array.from({ length: convs }, () => {
      const conv = conv2d(inChannels, width, { kernel: 3, padding: 1 })
      inChannels = width
      return [conv, instanceNorm(width, { activation: 'relu' }), identity]
    })
    // Keep the layer numbers of the original where a small image is not pooled.
    const pooled = side >= (stage === VGG11.length - 1 ? 2 : 4)
    if (pooled) side = Math.floor(side / 2)
    return [...blocks.flat(), pooled ? maxPoolHalf : identity]
  })
  const extractor = compose({ features: sequential(layers) }, ({ features }, x: Tensor) => {
    const map = features(x)
    const fits = map.shape[2] === poolSize && map.shape[3] === poolSize
    return flatten(fits ? map : ops.adaptiveMaxPool2d(map, poolSize))
  })
  return student('VGG-11', inputShape, classes, extractor, inChannels * poolSize ** 2)
}
