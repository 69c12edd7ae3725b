import { ops, type Tensor } from '../../autograd/index.ts'
import type { Device } from '../../gpu/index.ts'
import type { Normalization } from '../normalization.ts'

/** What may be learned: latents Z [M, c, h, w], conditionings c [M, contextDim], or normalised pixels [M, C, H, W]. */
export type ParameterName = 'latents' | 'conditioning' | 'pixels'

/** What images are made of, by name; leaves, whose first dimension counts images. */
export type SyntheticParameters = Readonly<Partial<Record<ParameterName, Tensor>>>

/** Noise of one sampling phase, tensors whose first dimension counts images. */
export type SpaceNoise = readonly Tensor[]

/** Where learning starts. */
export interface SpaceStart {
  /** Class of each image in the dataset. */
  readonly labels: Int32Array
  /** Real images to start from, [M, C, H, W] in [0, 1]; undefined to start from normal numbers. */
  readonly images: Float32Array | undefined
  readonly seed: number
  readonly normalization: Normalization
}

/** The space in which synthetic images are learned: what they are made of, and how. */
export interface ImageSpace {
  readonly name: 'latent-diffusion' | 'autoencoder' | 'pixel'
  readonly device: Device
  /** Whether images lie in [0, 1], but for rounding, before they are normalised. */
  readonly isBounded: boolean
  /** Which parameters can be learned; each is one of those that `initial` makes. */
  readonly learnable: readonly ParameterName[]
  initial(start: SpaceStart): SyntheticParameters
  /** Draws the noise of a sampling phase. Keep it until the gradient is taken: both passes must see the same. */
  noise(count: number, seed: number): SpaceNoise
  /** Its options, with their defaults, as plain data. */
  readonly settings: Readonly<Record<string, unknown>>
  /** What images follow from besides settings, parameters and noise: plain data, the same for the same images. */
  identity(): Promise<Readonly<Record<string, unknown>>>
  /** Images as networks see them, [N, C, H, W], of parameters and noise of N images. */
  images(parameters: SyntheticParameters, noise: SpaceNoise, normalization: Normalization): Tensor
}

/** The parameter `name`, which the space that reads it made itself. */
export const parameter = (parameters: SyntheticParameters, name: ParameterName): Tensor => parameters[name] as Tensor

/** Images `first` to `end` − 1 of every parameter. */
export const sliceParameters = (parameters: SyntheticParameters, first: number, end: number): SyntheticParameters =>
  mapParameters(parameters, (t) => ops.slice(t, 0, first, end))

/** The same names with other tensors. */
export const mapParameters = (parameters: SyntheticParameters, f: (t: Tensor) => Tensor): SyntheticParameters =>
  Object.fromEntries(Object.entries(parameters).map(([name, t]) => [name, f(t)]))
