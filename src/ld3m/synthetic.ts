import { noGrad, ops, scope, type Tensor } from '../autograd/index.ts'
import type { HostTensor } from '../models/index.ts'
import { denormalize, type Normalization } from './normalization.ts'
import { type ImageSpace, type SpaceNoise, type SyntheticParameters, sliceParameters } from './spaces/index.ts'

/** What distillation gives: a few images a class, and what they were made from. */
export interface DistilledSet {
  /**
   * [M, C, H, W], M = classes · imagesPerClass, grouped by class; in [0, 1], but learned pixels as they are, which leave it.
   * Pictures clamp them.
   */
  readonly images: HostTensor
  /** The images before the first iteration. */
  readonly initialImages: HostTensor
  /** Class of each image, [0, …, 0, 1, …, 1, …]. */
  readonly labels: Int32Array
  readonly classNames: readonly string[]
  /** Learned latents Z, [M, c, h, w], before quantisation; not of pixel space. */
  readonly latents?: HostTensor
  /** Learned conditionings c, [M, contextDim]; of latent diffusion alone. */
  readonly conditioning?: HostTensor
  /** Networks are trained on (image − mean)/std. */
  readonly normalization: Normalization
  /** Loss of every iteration so far. */
  readonly loss: readonly number[]
  /** The learning rate of SGD with which a student should train on the images, where the objective learned it. */
  readonly studentLearningRate?: number
}

/** Labels of a set grouped by class. */
export const groupedLabels = (classes: number, imagesPerClass: number): Int32Array =>
  Int32Array.from({ length: classes * imagesPerClass }, (_, i) => Math.floor(i / imagesPerClass))

/** Images `first` to `end` − 1 of parameters and noise. */
export const sliceAll = (
  parameters: SyntheticParameters,
  noise: SpaceNoise,
  [first, end]: readonly [number, number],
): [SyntheticParameters, SpaceNoise] => [
  sliceParameters(parameters, first, end),
  noise.map((t) => ops.slice(t, 0, first, end)),
]

/** Draws the set's images in chunks, without a graph; normalised. */
export function drawImages(
  space: ImageSpace,
  parameters: SyntheticParameters,
  noise: SpaceNoise,
  normalization: Normalization,
  ranges: readonly (readonly [number, number])[],
): Tensor {
  return scope(() =>
    noGrad(() => {
      const parts = ranges.map((range) =>
        scope(() => space.images(...sliceAll(parameters, noise, range), normalization)),
      )
      return parts.length === 1 ? (parts[0] as Tensor) : ops.concat(parts, 0)
    }),
  )
}

/** The images of parameters under a seed's noise, about in [0, 1]. */
export function drawnImages(
  space: ImageSpace,
  parameters: SyntheticParameters,
  normalization: Normalization,
  ranges: readonly (readonly [number, number])[],
  seed: number,
): Tensor {
  return scope(() => {
    const noise = space.noise(ranges.at(-1)?.[1] ?? 0, seed)
    return denormalize(drawImages(space, parameters, noise, normalization, ranges), normalization)
  })
}

/** The same on the host, without what rounding adds to images that lie in [0, 1]. */
export async function readImages(...args: Parameters<typeof drawnImages>): Promise<HostTensor> {
  const images = drawnImages(...args)
  const data = await images.read()
  images.dispose()
  const [{ isBounded }] = args
  return { shape: images.shape, data: isBounded ? data.map((v) => Math.min(Math.max(v, 0), 1)) : data }
}
