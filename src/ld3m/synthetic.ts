import { noGrad, ops, random, scope, type Tensor, tensor } from '../autograd/index.ts'
import type { HostTensor } from '../models/index.ts'
import { denormalize, fromSigned, type Normalization, normalize, toSigned } from './normalization.ts'
import type { Prior } from './prior.ts'
import { drawNoise, generate, type ProcessNoise, type ResolvedDiffusion, sliceNoise } from './process.ts'

/** What distillation gives: a few images a class, and what they were made from. */
export interface DistilledSet {
  /** [M, C, H, W] in [0, 1], M = classes · imagesPerClass, grouped by class. */
  readonly images: HostTensor
  /** The images that the initial latents and conditionings give. */
  readonly initialImages: HostTensor
  /** Class of each image, [0, …, 0, 1, …, 1, …]. */
  readonly labels: Int32Array
  readonly classNames: readonly string[]
  /** Learned latents Z, [M, c, h, w], before quantisation. */
  readonly latents: HostTensor
  /** Learned conditionings c, [M, contextDim]. */
  readonly conditioning: HostTensor
  /** Networks are trained on (image − mean)/std. */
  readonly normalization: Normalization
  /** Loss of every iteration so far. */
  readonly loss: readonly number[]
  /** The learning rate of SGD with which a student should train on the images, where the objective learned it. */
  readonly studentLearningRate?: number
}

/** The learned tensors, both leaves. */
export interface SyntheticParameters {
  latents: Tensor
  conditioning: Tensor
}

/** Labels of a set grouped by class. */
export const groupedLabels = (classes: number, imagesPerClass: number): Int32Array =>
  Int32Array.from({ length: classes * imagesPerClass }, (_, i) => Math.floor(i / imagesPerClass))

/**
 * Where learning starts: latents encoded from real images (or standard normal ones), and the class embeddings of the
 * prior, one for each image.
 * @param images [priorClasses.length · imagesPerClass, C, H, W] in [0, 1], or undefined for normal latents
 * @param priorClasses the prior's class id of each class of the dataset
 */
export function initialParameters(
  prior: Prior,
  images: Float32Array | undefined,
  imagesPerClass: number,
  priorClasses: readonly number[],
  seed: number,
): SyntheticParameters {
  const ids = Int32Array.from(groupedLabels(priorClasses.length, imagesPerClass), (k) => priorClasses[k] as number)
  return scope(() =>
    noGrad(() => {
      const conditioning = prior.conditioning(tensor(prior.device, ids)).leaf()
      if (!images) {
        const shape = [ids.length, ...prior.latentShape]
        const scaled = random.normal(prior.device, shape, { seed, stream: 1 })
        return { latents: ops.scale(scaled, 1 / prior.config.latentScale).leaf(), conditioning }
      }
      const { channels, height, width } = prior.config.image
      const real = tensor(prior.device, images, { shape: [ids.length, channels, height, width] })
      return { latents: prior.encode(toSigned(real)).leaf(), conditioning }
    }),
  )
}

/** Normalised synthetic images of parameters (or of a slice of them), [N, C, H, W]. */
export function syntheticImages(
  prior: Prior,
  { latents, conditioning }: SyntheticParameters,
  noise: ProcessNoise,
  diffusion: ResolvedDiffusion,
  normalization: Normalization,
): Tensor {
  return normalize(fromSigned(generate(prior, latents, conditioning, noise, diffusion)), normalization)
}

/** Ranges of at most `size` that cover 0…count. */
export const chunksOf = (count: number, size: number): [first: number, end: number][] =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => [i * size, Math.min(count, (i + 1) * size)])

/** Slices of the parameters and the noise. */
export function sliceAll(
  { latents, conditioning }: SyntheticParameters,
  noise: ProcessNoise,
  [first, end]: readonly [number, number],
): [SyntheticParameters, ProcessNoise] {
  const part = { latents: ops.slice(latents, 0, first, end), conditioning: ops.slice(conditioning, 0, first, end) }
  return [part, sliceNoise(noise, first, end)]
}

/** Draws the set's images in chunks, without a graph; normalised. */
export function drawImages(
  prior: Prior,
  parameters: SyntheticParameters,
  noise: ProcessNoise,
  diffusion: ResolvedDiffusion,
  normalization: Normalization,
  chunk: number,
): Tensor {
  return scope(() =>
    noGrad(() => {
      const count = parameters.latents.shape[0] as number
      const parts = chunksOf(count, chunk).map((range) =>
        scope(() => {
          const [part, partNoise] = sliceAll(parameters, noise, range)
          return syntheticImages(prior, part, partNoise, diffusion, normalization)
        }),
      )
      return parts.length === 1 ? (parts[0] as Tensor) : ops.concat(parts, 0)
    }),
  )
}

/** The images of parameters under a seed's noise, about in [0, 1]. */
export function drawnImages(
  prior: Prior,
  parameters: SyntheticParameters,
  diffusion: ResolvedDiffusion,
  normalization: Normalization,
  chunk: number,
  seed: number,
): Tensor {
  return scope(() => {
    const count = parameters.latents.shape[0] as number
    const noise = drawNoise(prior, count, diffusion, seed)
    return denormalize(drawImages(prior, parameters, noise, diffusion, normalization, chunk), normalization)
  })
}

/** The same on the host, in [0, 1]. */
export async function readImages(...args: Parameters<typeof drawnImages>): Promise<HostTensor> {
  const images = drawnImages(...args)
  const data = (await images.read()).map((v) => Math.min(Math.max(v, 0), 1))
  images.dispose()
  return { shape: images.shape, data }
}
