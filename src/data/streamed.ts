import { dataError, formatValue, Ld3mError, optionError, rejectUnknownOptions } from '../errors.ts'
import { counted, listed } from '../words.ts'
import {
  AS_BYTES,
  ChannelHistograms,
  channelStatistics,
  checkIndices,
  copyImages,
  createInfo,
  type Dataset,
  type DatasetInfo,
} from './dataset.ts'
import { ByteCache } from './lru.ts'

/** Labelled images that are decoded when they are asked for, so that there may be more than memory holds. */
export interface StreamedDataset extends DatasetInfo {
  /** The images at `indices`, in that order, as bytes [indices.length, C, H, W] that belong to the caller. */
  read(indices: ArrayLike<number>): Promise<Uint8Array<ArrayBuffer>>
}

/** A dataset in memory or a streamed one. */
export type AnyDataset = Dataset | StreamedDataset

export const isStreamed = (dataset: AnyDataset): dataset is StreamedDataset => 'read' in dataset

/** What `createStreamedDataset` takes; the count follows from the labels. */
export interface StreamedDatasetInit extends Omit<DatasetInfo, 'count'> {
  /**
   * Decodes the image at an index to bytes [C, H, W], which are copied. The same index must always give the same bytes. A
   * read decodes up to eight images at once, so each must be in memory of its own until it is given. What `load` throws
   * reaches those who read as an Ld3mError `data`, unless it is an Ld3mError itself.
   */
  readonly load: (index: number) => Promise<Uint8Array>
  /** Decoded images are kept up to so many bytes, those that were used last. Default 1 GiB. */
  readonly cacheBytes?: number
}

const INIT_FIELDS = [
  ...['name', 'labels', 'channels', 'height', 'width', 'classNames', 'mean', 'std', 'load', 'cacheBytes'],
] as const

const DEFAULT_CACHE_BYTES = 2 ** 30
/** Images that are decoded at once: enough for all threads of a decoder, and a bound on what they hold in memory. */
const LOADS_AT_ONCE = 8
/** Images that are read at once where all of them are. */
const PASS_BATCH = 256
/** Unreadable images that a message names at most, and after which no others are looked for. */
const SHOWN = 10
const ENOUGH = 100

/**
 * A dataset whose images `load` decodes on demand, with a cache of bounded size. What is read depends on the indices
 * alone, never on the cache.
 * @throws Ld3mError as `createDataset` does, and `option` if `cacheBytes` is not a whole number ≥ 0
 */
export function createStreamedDataset(init: StreamedDatasetInit): StreamedDataset {
  rejectUnknownOptions('createStreamedDataset', init, INIT_FIELDS)
  const { load, cacheBytes = DEFAULT_CACHE_BYTES, ...rest } = init
  if (!Number.isSafeInteger(cacheBytes) || cacheBytes < 0) {
    throw optionError(
      `Dataset '${init.name}': cacheBytes is ${cacheBytes}.`,
      'Give a whole number of bytes, 0 for none.',
    )
  }
  const info = createInfo(rest)
  const size = info.channels * info.height * info.width
  const cache = new ByteCache(cacheBytes)
  const loading = new Map<number, Promise<Uint8Array>>()

  const loaded = async (index: number): Promise<Uint8Array> => {
    try {
      return await load(index)
    } catch (cause) {
      if (cause instanceof Ld3mError) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw dataError(
        `Dataset '${info.name}': image ${index} could not be loaded: ${why}.`,
        'Repair what it is read from.',
        cause,
      )
    }
  }
  const loadOne = async (index: number): Promise<Uint8Array> => {
    const image = await loaded(index)
    if (!(image instanceof Uint8Array)) {
      throw dataError(`Dataset '${info.name}': image ${index} was decoded to what is ${formatValue(image)}.`, AS_BYTES)
    }
    if (image.length !== size) {
      throw dataError(
        `Dataset '${info.name}': image ${index} was decoded to ${image.length} bytes; ` +
          `[${info.channels}, ${info.height}, ${info.width}] has ${size}.`,
        'Decode every image to the size that the dataset states.',
      )
    }
    // Whoever loaded it may use its memory again, or have cut it from more than the cache counts.
    const own = new Uint8Array(image)
    cache.add(index, own)
    return own
  }
  const get = (index: number): Uint8Array | Promise<Uint8Array> => {
    const known = cache.get(index) ?? loading.get(index)
    if (known) return known
    const image = loadOne(index).finally(() => loading.delete(index))
    loading.set(index, image)
    return image
  }

  const read = async (indices: ArrayLike<number>): Promise<Uint8Array<ArrayBuffer>> => {
    checkIndices('read', info, indices)
    const images = new Uint8Array(indices.length * size)
    const places = new Map<number, number[]>()
    for (let n = 0; n < indices.length; n++) {
      const of = places.get(indices[n]!)
      if (of) of.push(n)
      else places.set(indices[n]!, [n])
    }
    // In the order of the files, which may hold neighbours in one piece.
    const wanted = [...places].sort(([a], [b]) => a - b)
    await eachOf(wanted, async ([index, at]) => {
      const image = await get(index)
      for (const n of at) images.set(image, n * size)
    })
    return images
  }
  return { ...info, read }
}

/** Runs `work` on every item, some at once; the first error stops what has not begun. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      try {
        await work(items[next++]!)
      } catch (error) {
        next = items.length
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: LOADS_AT_ONCE }, worker))
}

/**
 * The images at `indices`, in that order, as bytes [indices.length, C, H, W].
 * @throws Ld3mError `option` if an index is out of range, `data` if an image cannot be read
 */
export async function readImages(dataset: AnyDataset, indices: ArrayLike<number>): Promise<Uint8Array<ArrayBuffer>> {
  if (isStreamed(dataset)) return await dataset.read(indices)
  return copyImages('readImages', dataset, indices)
}

/**
 * The whole dataset in memory, for what needs it there (`padTo`); one that is there already is given back.
 * @throws Ld3mError `memory` if it does not fit, `data` if images cannot be read, with all of them
 */
export async function inMemory(dataset: AnyDataset): Promise<Dataset> {
  if (!isStreamed(dataset)) return dataset
  const { read: _read, ...info } = dataset
  const size = info.channels * info.height * info.width
  const images = allocate(info, info.count * size)
  for await (const [first, batch] of passOver(dataset)) images.set(batch, first * size)
  return { ...info, images }
}

function allocate({ name, count }: DatasetInfo, bytes: number): Uint8Array {
  try {
    return new Uint8Array(bytes)
  } catch {
    throw new Ld3mError(
      'memory',
      `The ${count} images of '${name}' need ${(bytes / 2 ** 30).toFixed(1)} GiB, more than there is.`,
      'Select classes, make the images smaller, or use the dataset as it is: distill, evaluate and trainPrior read it by and by.',
    )
  }
}

/**
 * `channelStatistics` of any dataset; a streamed one is read once from the first image to the last.
 * @throws Ld3mError `data` if images cannot be read, with all of them
 */
export async function readChannelStatistics(dataset: AnyDataset): Promise<{ mean: number[]; std: number[] }> {
  if (!isStreamed(dataset)) return channelStatistics(dataset)
  const histograms = new ChannelHistograms(dataset)
  for await (const [, batch] of passOver(dataset)) histograms.add(batch)
  return histograms.statistics()
}

/**
 * Reads every image of a streamed dataset once, so that long work does not meet a damaged one late.
 * @param onRead called now and then with how many images were read; what it throws ends the reading
 * @throws Ld3mError `data` if images cannot be read, with all of them
 */
export async function checkReadable(dataset: AnyDataset, onRead: (read: number) => void = () => {}): Promise<void> {
  if (!isStreamed(dataset)) return
  for await (const [first, images] of passOver(dataset)) {
    onRead(first + images.length / (dataset.channels * dataset.height * dataset.width))
  }
}

/** All images, in batches; those that cannot be read are told together at the end, not one by one as they are removed. */
async function* passOver(dataset: StreamedDataset): AsyncGenerator<[first: number, images: Uint8Array]> {
  const failures = new Map<number, Ld3mError>()
  for (let first = 0; first < dataset.count; first += PASS_BATCH) {
    const length = Math.min(PASS_BATCH, dataset.count - first)
    const indices = Array.from({ length }, (_, i) => first + i)
    const images = await dataset.read(indices).catch(async (error: unknown) => {
      if (!isOfData(error)) throw error
      await eachOf(indices, (index) => readAlone(dataset, index, failures))
    })
    if (isHopeless(failures)) break
    if (images) yield [first, images]
  }
  if (failures.size > 0) throw together(dataset, failures)
}

const isOfData = (error: unknown): error is Ld3mError => error instanceof Ld3mError && error.code === 'data'

/** Whether it makes no sense to read on: so many images are damaged, or what they are in, as two of them say the same. */
function isHopeless(failures: ReadonlyMap<number, Ld3mError>): boolean {
  return failures.size >= ENOUGH || new Set([...failures.values()].map(({ message }) => message)).size < failures.size
}

async function readAlone(dataset: StreamedDataset, index: number, failures: Map<number, Ld3mError>): Promise<void> {
  if (isHopeless(failures)) return
  try {
    await dataset.read([index])
  } catch (error) {
    if (!isOfData(error)) throw error
    failures.set(index, error)
  }
}

/** One error of all that is wrong with images; where it is one thing, its own. */
function together({ name }: DatasetInfo, failures: ReadonlyMap<number, Ld3mError>): Ld3mError {
  const sorted = [...failures].sort(([a], [b]) => a - b).map(([, error]) => error)
  const errors = [...new Map(sorted.map((error) => [error.message, error])).values()]
  if (errors.length === 1) return errors[0]!
  const reasons = errors.map(({ message, fix }) => message.slice(0, -fix.length).trim().replace(/\.$/, ''))
  return dataError(
    `${isHopeless(failures) ? 'At least ' : ''}${counted(errors.length, 'image')} of '${name}' cannot be read: ${listed(reasons, SHOWN, '; ')}.`,
    'Replace or remove them.',
    errors[0],
  )
}
