import { noGrad, scope, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, readImages, toUnit } from '../data/index.ts'
import type { Device } from '../gpu/index.ts'
import {
  type Autoencoder,
  type AutoencoderOptions,
  autoencoder,
  type HostTensor,
  Params,
  type StateDict,
} from '../models/index.ts'
import { toSigned } from './normalization.ts'

/** Pixels that are encoded at once: 200 images of 32×32. */
const ENCODED_PIXELS = 200 * 32 * 32

export interface EncodeProgress {
  /** Images that are encoded, and of how many. */
  readonly encoded: number
  readonly count: number
  readonly secondsLeft: number
}

export interface EncodeDatasetOptions {
  readonly device: Device
  readonly dataset: AnyDataset
  readonly autoencoder: { readonly options: AutoencoderOptions; readonly state: StateDict }
  readonly signal?: AbortSignal | undefined
  readonly onEncode?: ((progress: EncodeProgress) => void | Promise<void>) | undefined
}

/**
 * Latents of a whole dataset [N, c, h, w], scaled to unit variance, and the scale.
 * @param stopped the error to throw if `signal` fires, when so many images are encoded
 */
export async function encodeDataset(
  { device, dataset, autoencoder: { options, state }, signal, onEncode }: EncodeDatasetOptions,
  stopped: (encoded: number) => Error,
): Promise<{ latents: HostTensor; scale: number }> {
  const module = autoencoder(options)
  const params = new Params(state)
  const { count, height, width } = dataset
  const shape = [options.latentChannels, height / module.downsampling, width / module.downsampling] as const
  const size = shape.reduce((a, b) => a * b, 1)
  const data = new Float32Array(count * size)
  const batch = encodedAtOnce(dataset)
  const started = performance.now()
  for (let i = 0; i < count; i += batch) {
    if (signal?.aborted) throw stopped(i)
    const indices = Array.from({ length: Math.min(batch, count - i) }, (_, j) => i + j)
    const z = encodeBatch(device, module, params, dataset, toUnit(await readImages(dataset, indices)))
    data.set(await z.read(), i * size)
    z.dispose()
    const encoded = i + indices.length
    const seconds = (performance.now() - started) / 1000
    await onEncode?.({ encoded, count, secondsLeft: (seconds / encoded) * (count - encoded) })
  }
  return { latents: { shape: [count, ...shape], data }, scale: scaleToUnit(data) }
}

/** Images of a dataset that are encoded at once. */
export const encodedAtOnce = ({ height, width }: Pick<AnyDataset, 'height' | 'width'>): number =>
  Math.max(1, Math.floor(ENCODED_PIXELS / (height * width)))

/** Latents of images in [0, 1], as many as there are of the dataset's size. */
export const encodeBatch = (
  device: Device,
  module: Autoencoder,
  params: Params,
  { channels, height, width }: Pick<AnyDataset, 'channels' | 'height' | 'width'>,
  images: Float32Array<ArrayBuffer>,
): Tensor =>
  scope(() =>
    noGrad(() => {
      const shape = [images.length / (channels * height * width), channels, height, width]
      return module.encode(params, toSigned(tensor(device, images, { shape })))
    }),
  )

/** Scales values to a variance of one, in place, and gives what they were multiplied by. */
function scaleToUnit(data: Float32Array): number {
  let sum = 0
  let squares = 0
  for (const v of data) {
    sum += v
    squares += v * v
  }
  const mean = sum / data.length
  const scale = 1 / Math.sqrt(squares / data.length - mean * mean)
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) * scale
  return scale
}
