import { type AnyDataset, createStreamedDataset, type Dataset, padTo, selectClasses } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import { hasCifarPart, isCifar, loadCifar } from './cifar.ts'
import { checkSplit, listFolder, named, namesOfSplit, type Split } from './folders.ts'
import { hasIdxPart, loadIdx } from './idx.ts'
import { openImageDecoder } from './image-decoder.ts'
import { partFolders, refuseStrayImages, streamImageFolder } from './image-folder.ts'
import { isParquet, parquetFiles, splitWord, streamParquet } from './parquet.ts'

export interface OpenDatasetOptions {
  /** Default 'train', or everything where the data has no parts. */
  readonly split?: Split
  /**
   * Height and width of the images, pixels. Smaller IDX images get a black border; all others are resized and cropped.
   * Default, for IDX and CIFAR alone: their own, which need not be equal.
   */
  readonly size?: number
  /** 3 for RGB, 1 for grey. Default 3, for IDX their own. */
  readonly channels?: 1 | 3
  /** The classes to take, in this order: names, or an ImageNet subset such as `imagenette`. Default all. */
  readonly classes?: readonly string[]
  /** Decoded images are kept up to so many bytes. Default 1 GiB. */
  readonly cacheBytes?: number
  /** Parquet files alone: seconds that one read may take. Default 60, and one more for each 2 MB of the file. */
  readonly timeout?: number
}

const FIELDS = ['split', 'size', 'channels', 'classes', 'cacheBytes', 'timeout']

type Opener = (path: string, options: OpenDatasetOptions) => Promise<AnyDataset>

/** What data is made of. */
export type DatasetKind = 'IDX files' | 'CIFAR files' | 'Parquet files' | 'folders of images'

const OPENERS: Readonly<Record<DatasetKind, Opener>> = {
  'IDX files': async (path, { split, ...rest }) =>
    await fitted(await loadIdx(path, binarySplit(path, split)), rest, bordered),
  'CIFAR files': async (path, { split, ...rest }) =>
    await fitted(await loadCifar(path, binarySplit(path, split)), rest),
  'Parquet files': (path, { cacheBytes, ...rest }) => streamParquet(path, sized(path, rest), cacheBytes),
  'folders of images': (path, { cacheBytes, ...rest }) => streamImageFolder(path, sized(path, rest), cacheBytes),
}

const IDX_FILE = /-(images|labels)[-.]idx\d-ubyte(\.gz)?$/

/**
 * Opens a dataset of any kind that this library reads, by what the path holds: a folder of IDX files, of CIFAR's binary
 * version, of images (`loadImageFolder`), of Parquet files, or one Parquet file. IDX and CIFAR are read into memory;
 * images are decoded when they are asked for.
 * @throws Ld3mError `data` if the path holds none of them, or several; `shape` if images that are not square are asked for
 * with other channels and without a size; else as the loaders of the kinds do
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<AnyDataset> {
  rejectUnknownOptions('openDataset', options, FIELDS)
  checkSplit('openDataset', options.split)
  const kind = await datasetKind(path)
  if (options.timeout !== undefined && kind !== 'Parquet files') {
    throw optionError(`openDataset: timeout is of no use to ${kind}.`, 'Leave it out.')
  }
  return await OPENERS[kind](path, options)
}

/**
 * Whether the data at a path has a part of its own for a split, as the option `split` of `openDataset` takes it: `val` is a
 * part for `test` where nothing is called so. Data without parts has none; `openDataset` gives all images of it.
 * @throws Ld3mError `data` if the path holds no dataset, or several; `option` if there is no such split
 */
export async function hasPart(path: string, split: Split): Promise<boolean> {
  checkSplit('hasPart', split)
  const kind = await datasetKind(path)
  if (kind === 'Parquet files') {
    return !isParquet(path) && namesOfSplit(split, await parquetFiles(path), splitWord).length > 0
  }
  const listing = await listFolder(path)
  if (kind === 'folders of images') return namesOfSplit(split, await partFolders(path, listing)).length > 0
  if (split === 'validation') return false
  return kind === 'IDX files' ? hasIdxPart(listing.files, split) : hasCifarPart(listing, split)
}

/**
 * Which of the kinds of data a path holds.
 * @throws Ld3mError `data` if it holds none of them, or several
 */
export async function datasetKind(path: string): Promise<DatasetKind> {
  const kinds = isParquet(path) ? (['Parquet files'] as const) : await kindsIn(path)
  const [kind] = kinds
  if (kind !== undefined && kinds.length === 1) return kind
  const listing = await listFolder(path)
  if (kind === undefined) await refuseStrayImages(path, listing)
  throw dataError(
    kind !== undefined
      ? `${path} holds ${kinds.join(' and ')} at once.`
      : listing.files.length === 0
        ? `${path} is an empty folder.`
        : `${path} holds no dataset, only ${named(listing.files)}.`,
    `Give a folder with one of ${Object.keys(OPENERS).join(', ')}.`,
  )
}

async function kindsIn(path: string): Promise<DatasetKind[]> {
  const listing = await listFolder(path)
  const has: readonly (readonly [kind: DatasetKind, there: boolean])[] = [
    ['IDX files', listing.files.some((file) => IDX_FILE.test(file))],
    ['CIFAR files', isCifar(listing)],
    ['Parquet files', (await parquetFiles(path)).length > 0],
  ]
  const kinds = has.filter(([, there]) => there).map(([kind]) => kind)
  return kinds.length === 0 && listing.folders.length > 0 ? ['folders of images'] : kinds
}

function binarySplit(path: string, split: Split | undefined): { split?: 'train' | 'test' } {
  if (split === 'validation') {
    throw optionError(`${path} has no part 'validation', only train and test.`, 'Divide train with splitDataset.')
  }
  return split === undefined ? {} : { split }
}

function sized<T extends OpenDatasetOptions>(path: string, options: T): T & { size: number } {
  const { size } = options
  if (size === undefined) throw optionError(`${path} holds images of any size.`, 'Give size, in pixels.')
  return { ...options, size }
}

/** A border for images that fit into `size`. */
const bordered = (dataset: Dataset, size: number): Dataset =>
  dataset.height <= size && dataset.width <= size ? padTo(dataset, size) : dataset

/** A dataset in memory with the classes, size and channels asked for: resized, unless `grow` gives it that size. */
async function fitted(
  whole: Dataset,
  options: Omit<OpenDatasetOptions, 'split'>,
  grow = (dataset: Dataset, _size: number): Dataset => dataset,
): Promise<AnyDataset> {
  const { size, classes, cacheBytes } = options
  const selected = classes ? selectClasses(whole, classes) : whole
  const dataset = size === undefined ? selected : grow(selected, size)
  const { channels, height, width, images, ...info } = dataset
  const wanted = { size: size ?? height, channels: options.channels ?? (channels as 1 | 3) }
  const isSized = size === undefined || (size === height && size === width)
  if (isSized && wanted.channels === channels) return dataset
  if (isSized && height !== width) {
    throw shapeError(
      `openDataset: ${dataset.name} has images of ${height}×${width} pixels, and other channels are given to squares alone.`,
      'Give size, or leave out channels.',
    )
  }
  const decode = await openImageDecoder(wanted)
  const bytes = channels * height * width
  const load = (index: number) => {
    const data = interleaved(images.subarray(index * bytes, (index + 1) * bytes), channels)
    return decode({ data, width, height, channels: channels as 1 | 3 }, `${index} of '${dataset.name}'`)
  }
  const { name, labels, classNames } = info
  return createStreamedDataset({
    ...{ name, labels, classNames, load, channels: wanted.channels, height: wanted.size, width: wanted.size },
    ...(cacheBytes !== undefined && { cacheBytes }),
  })
}

/** [C, H, W] to [H, W, C]. */
function interleaved(planes: Uint8Array, channels: number): Uint8Array {
  const pixels = planes.length / channels
  const data = new Uint8Array(planes.length)
  for (let i = 0; i < pixels; i++) for (let c = 0; c < channels; c++) data[i * channels + c] = planes[c * pixels + i]!
  return data
}
