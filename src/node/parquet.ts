import { basename, dirname, extname, join, resolve } from 'node:path'
import { type Dataset, datasetOfParquetImages, inMemory, type StreamedDataset, selectClasses } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import { checkSplit, isSplitName, listFolder, named, namesOfSplit, type Split } from './folders.ts'
import { type ImageFormat, openImageDecoder } from './image-decoder.ts'
import { openParquetFile } from './parquet-thread.ts'

export interface ParquetOptions extends ImageFormat {
  /** Default 'train', or everything where no file is named after a split. */
  readonly split?: Split
  /** The classes to take, in this order: names, or an ImageNet subset such as `imagenette`. Default all. */
  readonly classes?: readonly string[]
  /** Column of images. Default: what the metadata says. */
  readonly imageColumn?: string
  /** Column of labels. Default: what the metadata says. */
  readonly labelColumn?: string
  /** Default: the name of the folder or file. */
  readonly name?: string
  /** Seconds that one read may take before the file counts as damaged. Default 60, and one more for each 2 MB of it. */
  readonly timeout?: number
}

export const PARQUET_FIELDS = [
  ...['split', 'classes', 'imageColumn', 'labelColumn', 'name', 'size', 'channels', 'timeout'],
] as const

export const isParquet = (name: string): boolean => extname(name).toLowerCase() === '.parquet'

/**
 * Loads a split of an image dataset in the Parquet layout of Hugging Face into memory: one file, or a folder with files
 * such as `data/train-00000-of-00002.parquet`. Images are resized and cropped as those of `loadImageFolder`.
 * @throws Ld3mError `data` if there are no such files, one is damaged, or an image cannot be read; `option` for a class
 * that is not there
 */
export async function loadParquet(path: string, options: ParquetOptions): Promise<Dataset> {
  rejectUnknownOptions('loadParquet', options, PARQUET_FIELDS)
  return await inMemory(await streamParquet(path, options, 0))
}

/** The same, decoded on demand, with a cache of so many bytes. */
export async function streamParquet(
  path: string,
  {
    split,
    classes,
    imageColumn,
    labelColumn,
    name = basename(resolve(path), '.parquet'),
    timeout,
    ...format
  }: ParquetOptions,
  cacheBytes: number | undefined,
): Promise<StreamedDataset> {
  checkSplit('loadParquet', split)
  if (timeout !== undefined && !(timeout > 0)) {
    throw optionError(`loadParquet: timeout is ${timeout}.`, 'Use seconds, above 0.')
  }
  const decode = await openImageDecoder(format)
  const sources = isParquet(path) ? [path] : await filesOfSplit(path, split)
  const { size, channels = 3 } = format
  const columns = {
    ...(imageColumn !== undefined && { image: imageColumn }),
    ...(labelColumn !== undefined && { label: labelColumn }),
  }
  const opened = await Promise.all(sources.map((source) => openParquetFile(source, columns, timeout)))
  const dataset = datasetOfParquetImages(opened, {
    ...{ name, channels, height: size, width: size, decode },
    ...(cacheBytes !== undefined && { cacheBytes }),
  })
  return classes ? selectClasses(dataset, classes) : dataset
}

/** Folders that Hugging Face's repositories keep Parquet files in; others, which may be large, are not looked into. */
const isDataFolder = (name: string): boolean => ['data', 'default'].includes(name) || isSplitName(name)

/** The Parquet files of a folder. */
export async function parquetFiles(path: string): Promise<string[]> {
  const { folders, files } = await listFolder(path)
  const found = files.filter(isParquet).map((file) => join(path, file))
  for (const folder of folders.filter(isDataFolder)) found.push(...(await parquetFiles(join(path, folder))))
  return found
}

async function filesOfSplit(path: string, split: Split | undefined): Promise<string[]> {
  const all = await parquetFiles(path)
  if (all.length === 0) throw dataError(`There are no Parquet files in ${path}.`, 'Give a folder that holds some.')
  const parts = all.filter(isNamedAfterSplit)
  if (parts.length > 0 && parts.length < all.length) {
    const others = all.filter((file) => !parts.includes(file))
    throw dataError(
      `In ${path} some Parquet files are named after a split and some are not: ${named(others)}.`,
      'Name a single file, or remove those that do not belong.',
    )
  }
  if (parts.length === 0 && split !== undefined) {
    throw dataError(`No Parquet file in ${path} is named after a split: ${named(all)}.`, 'Leave out split for all.')
  }
  const chosen = parts.length === 0 ? all : namesOfSplit(split ?? 'train', all, splitWord)
  if (chosen.length === 0) {
    throw dataError(
      `There are no Parquet files of '${split ?? 'train'}' in ${path}, only ${named(all)}.`,
      'Give split.',
    )
  }
  const folders = [...new Set(chosen.map((file) => dirname(file)))]
  if (folders.length > 1) {
    throw dataError(`The Parquet files in ${path} lie in several folders: ${named(folders)}.`, 'Give one of them.')
  }
  return chosen
}

const isNamedAfterSplit = (file: string): boolean => isSplitName(splitWord(file))

/** What says which split a file belongs to: the beginning of its name (train-00000-of-00002), or else its folder's. */
export function splitWord(path: string): string {
  const word = basename(path).split(/[-_.]/, 1)[0]!
  return isSplitName(word) ? word : basename(dirname(path))
}
