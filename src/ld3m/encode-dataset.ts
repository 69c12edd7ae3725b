import { noGrad, scope, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, readImages, toUnit } from '../data/index.ts'
import { dataError } from '../errors.ts'
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
  /** What was encoded since the last call: [n, c, h, w], unscaled. Kept in order, they are `resume.latents`. */
  readonly latents: HostTensor
}

export interface EncodeDatasetOptions {
  readonly device: Device
  readonly dataset: AnyDataset
  readonly autoencoder: { readonly options: AutoencoderOptions; readonly state: StateDict }
  /** Latents of the first images, as `onEncode` gave them. */
  readonly encoded?: readonly HostTensor[] | undefined
  readonly signal?: AbortSignal | undefined
  readonly onEncode?: ((progress: EncodeProgress) => void | Promise<void>) | undefined
}

/**
 * Latents of a whole dataset [N, c, h, w], scaled to unit variance, and the scale.
 * @param stopped the error to throw if `signal` fires, when so many images are encoded
 * @throws Ld3mError `data` if latents that were there before are not those of the first images
 */
export async function encodeDataset(
  { device, dataset, autoencoder: { options, state }, encoded: before = [], signal, onEncode }: EncodeDatasetOptions,
  stopped: (encoded: number) => Error,
): Promise<{ latents: HostTensor; scale: number }> {
  const module = autoencoder(options)
  const params = new Params(state)
  const { count, height, width } = dataset
  const shape = [options.latentChannels, height / module.downsampling, width / module.downsampling] as const
  const size = shape.reduce((a, b) => a * b, 1)
  const data = new Float32Array(count * size)
  const batch = encodedAtOnce(dataset)
  const encode = async (first: number): Promise<HostTensor> => {
    const indices = Array.from({ length: Math.min(batch, count - first) }, (_, j) => first + j)
    const z = encodeBatch(device, module, params, dataset, toUnit(await readImages(dataset, indices)))
    const values = await z.read()
    z.dispose()
    return { shape: [indices.length, ...shape], data: values }
  }
  const done = before.reduce((n, latents) => n + (latents.shape[0] as number), 0)
  if (done > 0) {
    const fits = done <= count && (done % batch === 0 || done === count)
    if (!fits || !startsWith(before, await encode(0))) {
      throw dataError(
        'The latents that were encoded before are of other images, or of another autoencoder.',
        'Leave them out (delete them), to encode the images anew.',
      )
    }
    let at = 0
    for (const latents of before) {
      data.set(latents.data as Float32Array, at)
      at += latents.data.length
    }
  }
  const started = performance.now()
  for (let i = done; i < count; i += batch) {
    if (signal?.aborted) throw stopped(i)
    const latents = await encode(i)
    data.set(latents.data as Float32Array, i * size)
    const encoded = Math.min(i + batch, count)
    const secondsAnImage = (performance.now() - started) / 1000 / (encoded - done)
    await onEncode?.({ encoded, count, secondsLeft: secondsAnImage * (count - encoded), latents })
  }
  return { latents: { shape: [count, ...shape], data }, scale: scaleToUnit(data) }
}

/** Whether latents begin with those of the first images, to the bit. */
function startsWith(latents: readonly HostTensor[], first: HostTensor): boolean {
  let at = 0
  for (const { data } of latents) {
    for (let i = 0; i < data.length && at < first.data.length; i++, at++) if (data[i] !== first.data[at]) return false
  }
  return at === first.data.length
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
