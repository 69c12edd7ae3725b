import { ops, type Tensor, tensor } from '../autograd/index.ts'
import {
  type AnyDataset,
  channelStatistics,
  type Dataset,
  isStreamed,
  readChannelStatistics,
  toFloat,
} from '../data/index.ts'
import { formatValue, Ld3mError, optionError, shapeError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'

/** Per-channel statistics of pixels in [0, 1]: networks see (x − mean)/std. */
export interface Normalization {
  readonly mean: readonly number[]
  readonly std: readonly number[]
}

/**
 * Throws unless networks can be shown images of so many channels by it.
 * @throws Ld3mError `option` for what is none, `shape` for other channels, `numeric` for a division by 0
 */
export function checkNormalization(where: string, normalization: Normalization, channels: number): void {
  const { mean, std } = normalization ?? {}
  if (!isList(mean) || !isList(std)) {
    throw optionError(
      `${where}: normalization is ${formatValue(normalization)}.`,
      'Pass that of a distilled set, or what normalizationOf(dataset) gives: { mean, std }.',
    )
  }
  for (const [field, values] of Object.entries({ mean, std })) {
    if (values.length !== channels) {
      throw shapeError(
        `${where}: ${field} has ${values.length} values for ${channels} channels.`,
        'Give one a channel.',
      )
    }
  }
  if (![...mean, ...std].every(Number.isFinite) || !std.every((value) => value > 0)) {
    throw new Ld3mError(
      'numeric',
      `${where}: mean is [${mean.join(', ')}] and std [${std.join(', ')}].`,
      'Give finite numbers, std above 0: networks see (image − mean)/std.',
    )
  }
}

const isList = (values: unknown): values is readonly number[] => Array.isArray(values)

/**
 * The statistics of a dataset, rounded to f32 as files store them: its `mean` and `std` where it states both, else those
 * of its images.
 */
export function normalizationOf(dataset: Dataset | Required<Pick<Dataset, 'mean' | 'std'>>): Normalization {
  const { mean, std } = hasStatistics(dataset) ? dataset : channelStatistics(dataset)
  // A constant channel carries nothing; dividing by 1 keeps it finite.
  return { mean: mean.map(Math.fround), std: std.map((s) => (s > 0 ? Math.fround(s) : 1)) }
}

/** `normalizationOf` where it takes no reading of files: undefined for a streamed dataset that states no statistics. */
export function knownNormalization(dataset: AnyDataset): Normalization | undefined {
  if (!isStreamed(dataset)) return normalizationOf(dataset)
  const { mean, std } = dataset
  return mean && std ? normalizationOf({ mean, std }) : undefined
}

/** `normalizationOf`, for streamed datasets as well: where one states no statistics, all images are read once. */
export const readNormalization = async (dataset: AnyDataset): Promise<Normalization> =>
  knownNormalization(dataset) ?? normalizationOf(await readChannelStatistics(dataset))

const hasStatistics = (
  dataset: Dataset | Required<Pick<Dataset, 'mean' | 'std'>>,
): dataset is Required<Pick<Dataset, 'mean' | 'std'>> => dataset.mean !== undefined && dataset.std !== undefined

const perChannel = (device: Device, values: readonly number[]): Tensor =>
  tensor(device, values, { shape: [1, values.length, 1, 1] })

/** Images in [0, 1] as networks see them. */
export function normalize(images: Tensor, { mean, std }: Normalization): Tensor {
  if (mean.length === 1) {
    const s = std[0] as number
    return ops.affine(images, 1 / s, -(mean[0] as number) / s)
  }
  const { device } = images
  return ops.mul(
    ops.sub(images, perChannel(device, mean)),
    perChannel(
      device,
      std.map((s) => 1 / s),
    ),
  )
}

/** Back to [0, 1]. */
export function denormalize(images: Tensor, { mean, std }: Normalization): Tensor {
  if (mean.length === 1) return ops.affine(images, std[0] as number, mean[0] as number)
  const { device } = images
  return ops.add(ops.mul(images, perChannel(device, std)), perChannel(device, mean))
}

/**
 * A decoder's output, about in [−1, 1], to [0, 1]. Values are clamped; gradients pass as if they were not, so that a
 * pixel that is out of range can still come back (a plain clamp, as in the original code, leaves it there).
 */
export function fromSigned(images: Tensor): Tensor {
  const unit = ops.affine(images, 0.5, 0.5)
  const excess = ops.sub(ops.clamp(unit.detach(), 0, 1), unit.detach())
  return ops.add(unit, excess)
}

/** Images [N, C, H, W] of a dataset in [0, 1]. */
export const imageBatch = (device: Device, dataset: Dataset, indices: ArrayLike<number>): Tensor =>
  tensor(device, toFloat(dataset, indices), {
    shape: [indices.length, dataset.channels, dataset.height, dataset.width],
  })

/** Images in [0, 1] to [−1, 1], as autoencoders take them. */
export const toSigned = (images: Tensor): Tensor => ops.affine(images, 2, -1)
