import { ops, scope, type Tensor } from '../../autograd/index.ts'
import { optionError } from '../../errors.ts'
import { compose, conv2d, instanceNorm, sequential } from '../layers.ts'
import type { Module } from '../module.ts'
import { positiveIntegerList } from '../options.ts'
import { checkNormSize, inputShapeOf, type Student, type StudentOptions, student } from './student.ts'

export interface ResNetOptions extends StudentOptions {
  /** Channels of the stages; all but the first halve the image. Default 64, 128, 256, 512. */
  widths?: readonly number[]
  /** Residual blocks of each stage. Default 2, 2, 2, 2: ResNet-18. */
  blocks?: readonly number[]
}

/** Two 3×3 convolutions with instance norm, and a 1×1 convolution around them where the shape changes. */
function basicBlock(inChannels: number, outChannels: number, stride: number): Module {
  const bias = false
  const main = {
    conv1: conv2d(inChannels, outChannels, { kernel: 3, stride, padding: 1, bias }),
    bn1: instanceNorm(outChannels, { activation: 'relu' }),
    conv2: conv2d(outChannels, outChannels, { kernel: 3, padding: 1, bias }),
    bn2: instanceNorm(outChannels),
  }
  // An empty sequence is the identity.
  const reshapes = stride !== 1 || inChannels !== outChannels
  const shortcut = sequential(
    reshapes ? [conv2d(inChannels, outChannels, { kernel: 1, stride, bias }), instanceNorm(outChannels)] : [],
  )
  return compose({ ...main, shortcut }, ({ conv1, bn1, conv2, bn2, shortcut: around }, x: Tensor) =>
    ops.relu(ops.add(bn2(conv2(bn1(conv1(x)))), around(x))),
  )
}

/**
 * ResNet for small images: a 3×3 stem without pooling, stages of basic blocks, global average pooling, a linear
 * classifier. Instance norm everywhere.
 */
export function resNet(options: ResNetOptions): Student {
  const where = 'resNet'
  const inputShape = inputShapeOf(where, options, ['widths', 'blocks'])
  const { classes, widths = [64, 128, 256, 512] } = options
  positiveIntegerList(where, 'widths', widths)
  const { blocks = widths.map(() => 2) } = options
  positiveIntegerList(where, 'blocks', blocks)
  if (blocks.length !== widths.length) {
    throw optionError(
      `resNet: got ${widths.length} widths and ${blocks.length} numbers of blocks.`,
      'Give one of each for every stage.',
    )
  }
  const [channels, height, columns] = inputShape
  const shrink = 2 ** (widths.length - 1)
  checkNormSize(where, Math.ceil(height / shrink), Math.ceil(columns / shrink))
  const stem = widths[0] as number
  const stages = sequential(
    Object.fromEntries(
      widths.map((width, stage) => {
        const blocksOf = Array.from({ length: blocks[stage] as number }, (_, i) => {
          const entersStage = i === 0 && stage > 0
          return basicBlock(entersStage ? (widths[stage - 1] as number) : width, width, entersStage ? 2 : 1)
        })
        return [`layer${stage + 1}`, sequential(blocksOf)]
      }),
    ),
  )
  const start = compose(
    {
      conv1: conv2d(channels, stem, { kernel: 3, padding: 1, bias: false }),
      bn1: instanceNorm(stem, { activation: 'relu' }),
    },
    ({ conv1, bn1 }, x: Tensor) => bn1(conv1(x)),
  )
  const extractor: Module = {
    parameters: { ...start.parameters, ...stages.parameters },
    apply: (params, x) => scope(() => ops.globalAvgPool2d(stages.apply(params, start.apply(params, x)))),
  }
  const depth = 2 + 2 * blocks.reduce((a, b) => a + b, 0)
  return student(`ResNet-${depth}`, inputShape, classes, extractor, widths.at(-1) as number)
}
