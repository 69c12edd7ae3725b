import { noGrad, ops, random, scope, type Tensor, tensor } from '../../autograd/index.ts'
import type { Device } from '../../gpu/index.ts'
import { type Normalization, normalize } from '../normalization.ts'
import { overwrite } from '../overwrite.ts'
import { type ImageSpace, parameter } from './space.ts'

/**
 * No prior at all: the pixels are learned, as networks see them (normalised), which is the usual way of dataset
 * distillation and the baseline of LD3M. They stay in [0, 1], before normalisation: what the objective sees is what is
 * saved and evaluated.
 * @param imageShape of an image
 */
export const pixelSpace = (device: Device, imageShape: readonly [number, number, number]): ImageSpace => ({
  name: 'pixel',
  device,
  learnable: ['pixels'],
  initial: ({ labels, images, seed, normalization }) =>
    scope(() =>
      noGrad(() => {
        const shape = [labels.length, ...imageShape]
        const pixels = images
          ? normalize(tensor(device, images, { shape }), normalization)
          : inRange(random.normal(device, shape, { seed, stream: 1 }), normalization)
        return { pixels: pixels.leaf() }
      }),
    ),
  constrain: (parameters, normalization) => {
    const pixels = parameter(parameters, 'pixels')
    overwrite(pixels, () => inRange(pixels, normalization))
  },
  noise: () => [],
  settings: {},
  identity: async () => ({}),
  // A tensor of its own, which callers may free.
  images: (parameters) => ops.scale(parameter(parameters, 'pixels'), 1),
})

/** Normalised pixels, those outside of [0, 1] moved to its ends. */
function inRange(pixels: Tensor, normalization: Normalization): Tensor {
  const [least, most] = [0, 1].map((value) => {
    const channels = normalization.mean.length
    return normalize(ops.fill(pixels.device, [1, channels, 1, 1], value), normalization)
  }) as [Tensor, Tensor]
  return ops.minimum(ops.maximum(pixels, least), most)
}
