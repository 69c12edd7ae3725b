import { expectShape, ops, scope, type Tensor } from '../../autograd/index.ts'
import { compose, conv2d, conv2dOnto, groupNorm, sequential } from '../layers.ts'
import { childParameters, type Module, type Params } from '../module.ts'
import { type Coder, checkImages } from './coder.ts'
import { checkTinyOptions, type TinyAutoencoderOptions } from './options.ts'

export interface TinyAutoencoder extends Coder {
  readonly kind: 'tiny'
  readonly options: TinyAutoencoderOptions
}

const three = { kernel: 3, padding: 1 } as const

/** Latents beyond ±3 are drawn together. */
const softClamp: Module = { parameters: {}, apply: (_, x) => ops.scale(ops.tanh(ops.scale(x, 1 / 3)), 3) }

const upsample: Module = { parameters: {}, apply: (_, x) => ops.upsampleNearest2d(x, 2) }

/** A layer over all positions, added to x: 1×1 to four times the channels, group norm, ReLU, 1×1 back. */
const globalLayer = (width: number) =>
  sequential<[residual: Tensor]>({
    0: conv2d(width, 4 * width, { kernel: 1, bias: false }),
    1: groupNorm(4, 4 * width, { activation: 'relu' }),
    3: conv2dOnto(width * 4, width, { kernel: 1, bias: false }),
  })

/** Three 3×3 convolutions added to x, ReLU after each. */
function block(width: number, global: boolean): Module {
  const children = {
    conv: sequential<[residual: Tensor]>({
      0: conv2d(width, width, { ...three, activation: 'relu' }),
      2: conv2d(width, width, { ...three, activation: 'relu' }),
      4: conv2dOnto(width, width, { ...three, activation: 'relu' }),
    }),
    ...(global ? { pool: globalLayer(width) } : {}),
  }
  return compose(children, ({ conv, pool }, x: Tensor) => {
    const y = pool ? pool(x, x) : x
    return conv(y, y)
  })
}

/**
 * The TAESD family (Bohan, github.com/madebyollin/taesd): plain convolutional autoencoders distilled from those of
 * Stable Diffusion and FLUX, which they replace where time counts. State-dict names are those of the published files,
 * after `encoder.` and `decoder.`. Encoder and decoder work on images in [0, 1]; `encode` takes and `decode` gives [−1, 1],
 * as all autoencoders here.
 */
export function tinyAutoencoder(options: TinyAutoencoderOptions): TinyAutoencoder {
  checkTinyOptions('tinyAutoencoder', options)
  const { channels, latentChannels, width, stages, blocks, globalNorm } = options
  const downsampling = 2 ** stages
  const resize = { ...three, bias: false }
  const blocksOf = (global: boolean) => Array.from({ length: blocks }, () => block(width, global && globalNorm))
  const encoder = sequential([
    conv2d(channels, width, three),
    block(width, false),
    ...Array.from({ length: stages }, (_, stage) => [
      conv2d(width, width, { ...resize, stride: 2 }),
      ...blocksOf(stage === stages - 1),
    ]).flat(),
    conv2d(width, latentChannels, three),
  ])
  const decoder = sequential({
    0: softClamp,
    1: conv2d(latentChannels, width, { ...three, activation: 'relu' }),
    // 2 is the ReLU.
    ...numbered(3, [
      ...Array.from({ length: stages }, (_, stage) => [
        ...blocksOf(stage === 0),
        upsample,
        conv2d(width, width, resize),
      ]).flat(),
      block(width, false),
      conv2d(width, channels, three),
    ]),
  })
  const encode = (params: Params, images: Tensor): Tensor => {
    checkImages(images, channels, downsampling)
    return scope(() => encoder.apply(params.child('encoder'), ops.affine(images, 0.5, 0.5)))
  }
  const decode = (params: Params, latents: Tensor): Tensor => {
    expectShape('decode: latents', latents.shape, ['N', latentChannels, 'h', 'w'])
    return scope(() => ops.affine(decoder.apply(params.child('decoder'), latents), 2, -1))
  }
  return {
    kind: 'tiny',
    options,
    downsampling,
    parameters: childParameters({ encoder, decoder }),
    encode,
    decode,
    apply: (params, images) => scope(() => decode(params, encode(params, images))),
  }
}

/** Children named by numbers from `first`. */
const numbered = (first: number, children: readonly Module[]): Record<number, Module> =>
  Object.fromEntries(children.map((child, i) => [first + i, child]))
