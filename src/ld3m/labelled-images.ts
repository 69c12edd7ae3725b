import { ops, scope, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, readImages, toUnit } from '../data/index.ts'
import { shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import type { HostTensor } from '../models/index.ts'
import { type Normalization, normalize } from './normalization.ts'

/** Images to train on. */
export interface TrainingSet {
  /** [M, C, H, W] in [0, 1]. */
  readonly images: HostTensor
  readonly labels: Int32Array
  /** What the labels stand for, where that is known: then networks are tested on the same classes alone. */
  readonly classNames?: readonly string[]
  /** How networks are to see the images, where that is known. */
  readonly normalization?: Normalization
  /** The learning rate that was distilled with the images, where one was. */
  readonly studentLearningRate?: number
}

/** Sets up to so many bytes stay on the GPU for a whole training; of larger ones each batch is uploaded. */
const MAX_RESIDENT_BYTES = 64 << 20

/** Labelled images, to train on or to test with, as batches on the GPU, normalised. */
export class LabelledImages {
  readonly count: number
  /** Of an image: [C, H, W]. */
  readonly shape: readonly [number, number, number]
  readonly #data: TrainingSet | AnyDataset
  readonly #labels: ArrayLike<number>
  #resident: Tensor | undefined

  /** @throws Ld3mError `shape` for a set with more or fewer labels or values than images */
  constructor(
    readonly device: Device,
    data: TrainingSet | AnyDataset,
    readonly normalization: Normalization,
  ) {
    if (isSet(data)) checkSet(data)
    this.#data = data
    this.#labels = data.labels
    this.count = data.labels.length
    this.shape = imageShapeOf(data)
    if (isSet(data) && data.images.data.byteLength <= MAX_RESIDENT_BYTES) {
      const { images } = data
      this.#resident = scope(() => normalize(tensor(device, images.data, { shape: images.shape }), normalization))
    }
  }

  /** The images at `indices`, [indices.length, C, H, W], and their labels, for the caller to free. */
  async batch(indices: readonly number[] | Int32Array): Promise<{ images: Tensor; labels: Tensor }> {
    const { device, normalization } = this
    const unit = this.#resident ? undefined : await this.#read(indices)
    return scope(() => ({
      images: unit
        ? normalize(tensor(device, unit, { shape: [indices.length, ...this.shape] }), normalization)
        : ops.gather(this.#resident as Tensor, tensor(device, Int32Array.from(indices))),
      labels: tensor(
        device,
        Int32Array.from(indices, (i) => this.#labels[i] as number),
      ),
    }))
  }

  /** Images in [0, 1] on the host. */
  async #read(indices: ArrayLike<number>): Promise<Float32Array<ArrayBuffer>> {
    const data = this.#data
    if (!isSet(data)) return toUnit(await readImages(data, indices))
    const size = this.shape.reduce((a, b) => a * b, 1)
    const values = new Float32Array(indices.length * size)
    for (let n = 0; n < indices.length; n++) {
      const i = indices[n] as number
      values.set(data.images.data.subarray(i * size, (i + 1) * size), n * size)
    }
    return values
  }

  dispose(): void {
    this.#resident?.dispose()
  }
}

/** Whether images are on the host as numbers, and not as a dataset's bytes. */
export const isSet = (data: TrainingSet | AnyDataset): data is TrainingSet =>
  'images' in data && !(data.images instanceof Uint8Array)

function checkSet({ images: { shape, data }, labels }: TrainingSet): void {
  if (shape.length === 4 && shape[0] === labels.length && data.length === shape.reduce((a, b) => a * b, 1)) return
  throw shapeError(
    `Images of shape [${shape.join(', ')}] do not go with ${data.length} values and ${labels.length} labels.`,
    'Give [M, C, H, W], as many values, and M labels.',
  )
}

/** [C, H, W] of the images. */
export function imageShapeOf(data: TrainingSet | AnyDataset): readonly [number, number, number] {
  if (!isSet(data)) return [data.channels, data.height, data.width]
  const [, channels, height, width] = data.images.shape as [number, number, number, number]
  return [channels, height, width]
}
