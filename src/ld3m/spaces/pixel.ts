import { noGrad, ops, random, scope, tensor } from '../../autograd/index.ts'
import type { Device } from '../../gpu/index.ts'
import { normalize } from '../normalization.ts'
import { type ImageSpace, parameter } from './space.ts'

/**
 * No prior at all: the pixels are learned, as networks see them (normalised), which is the usual way of dataset
 * distillation and the baseline of LD3M. They are free to leave [0, 1], as published ones are, and students train on them as
 * they were learned: kept in that range, they teach less (docs/experiments.md).
 * @param imageShape of an image
 */
export const pixelSpace = (device: Device, imageShape: readonly [number, number, number]): ImageSpace => ({
  name: 'pixel',
  device,
  isBounded: false,
  learnable: ['pixels'],
  initial: ({ labels, images, seed, normalization }) =>
    scope(() =>
      noGrad(() => {
        const shape = [labels.length, ...imageShape]
        const pixels = images
          ? normalize(tensor(device, images, { shape }), normalization)
          : random.normal(device, shape, { seed, stream: 1 })
        return { pixels: pixels.leaf() }
      }),
    ),
  noise: () => [],
  settings: {},
  identity: async () => ({}),
  // A tensor of its own, which callers may free.
  images: (parameters) => ops.scale(parameter(parameters, 'pixels'), 1),
})
