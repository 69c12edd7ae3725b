import { type HostRandom, ops, type Tensor } from '../../autograd/index.ts'
import { optionError, rejectUnknownOptions, sidesOf } from '../../errors.ts'
import { linear } from '../layers.ts'
import { childParameters, type Module, type Params } from '../module.ts'
import { positiveIntegers } from '../options.ts'
import { checkImages } from '../state.ts'

/**
 * A classifier that learns from the distilled images: images [N, C, H, W] → logits [N, classes]. `draws` are the random
 * numbers of dropout, for a network that has it, in training; without them nothing is dropped.
 */
export interface Student extends Module<[images: Tensor, draws?: HostRandom]> {
  readonly name: string
  readonly inputShape: readonly [channels: number, height: number, width: number]
  readonly classes: number
  /** Length of a feature vector. */
  readonly featureCount: number
  /** What the network computes by beside its parameters' names and shapes: saved work is gone on with under the same alone. */
  readonly hyperparameters?: Readonly<Record<string, number>>
  /** What the classifier sees: images [N, C, H, W] → [N, featureCount]. */
  features(params: Params, images: Tensor, draws?: HostRandom): Tensor
}

/** What every student is made for. */
export interface StudentOptions {
  /** Colour channels of the images. */
  channels: number
  /** Height and width of the images, or the one number that both are. */
  size: number | readonly [height: number, width: number]
  classes: number
}

/** The image shape that the options describe. */
export function inputShapeOf(
  where: string,
  options: StudentOptions,
  known: readonly string[],
): readonly [number, number, number] {
  rejectUnknownOptions(where, options, ['channels', 'size', 'classes', ...known])
  const { channels, size, classes } = options
  positiveIntegers(where, { channels, classes })
  return [channels, ...sidesOf(where, size)]
}

/** Throws if instance norm would see maps of one pixel, which it turns into zeros whatever the image. */
export function checkNormSize(where: string, height: number, width: number): void {
  if (height * width < 2) {
    throw optionError(
      `${where}: its deepest instance norm would see maps of ${height}×${width}, and normalise them away.`,
      'Use larger images or fewer stages.',
    )
  }
}

/** A student of a feature extractor, [N, C, H, W] → [N, featureCount], and a linear classifier. */
export function student(
  name: string,
  inputShape: Student['inputShape'],
  classes: number,
  extractor: Module<[images: Tensor, draws: HostRandom | undefined]>,
  featureCount: number,
  { classifierName = 'classifier', ...rest }: { classifierName?: string } & Pick<Student, 'hyperparameters'> = {},
): Student {
  const classifier = linear(featureCount, classes)
  const features = (params: Params, images: Tensor, draws?: HostRandom) => {
    checkImages(name, images, inputShape)
    return extractor.apply(params, images, draws)
  }
  return {
    name,
    inputShape,
    classes,
    featureCount,
    ...rest,
    parameters: { ...extractor.parameters, ...childParameters({ [classifierName]: classifier }) },
    features,
    apply: (params, images, draws) => classifier.apply(params.child(classifierName), features(params, images, draws)),
  }
}

/** x: [N, …] → [N, product of the rest]. */
export const flatten = (x: Tensor): Tensor => ops.reshape(x, [x.shape[0] as number, -1])
