import { dataError } from '../errors.ts'
import { type ByteSource, openParquetImages, type ParquetColumns, type ParquetImages } from '../io/index.ts'
import { labelArray } from './dataset.ts'
import { Pieces } from './pieces.ts'
import { createStreamedDataset, type StreamedDataset, type StreamedDatasetInit } from './streamed.ts'

export interface ParquetImagesOptions
  extends Pick<StreamedDatasetInit, 'name' | 'channels' | 'height' | 'width' | 'cacheBytes'> {
  /** Decodes an encoded image (JPEG, PNG) to bytes [C, H, W]; `source` names it in error messages. */
  readonly decode: (encoded: Uint8Array, source: string) => Promise<Uint8Array>
}

export interface ParquetDatasetOptions extends ParquetImagesOptions {
  /** Which columns hold images and labels. Default: what the files' metadata says. */
  readonly columns?: ParquetColumns
}

/**
 * A dataset from the files of one split of a Hugging Face dataset, one after the other. Labels are read now, images on
 * demand. Classes are named as the metadata says; without names, by the labels' numbers; labels that are text are names.
 * @throws Ld3mError `data` if a file is damaged or foreign, or the files do not belong together
 */
export async function datasetFromParquet(
  files: readonly ByteSource[],
  { columns, ...options }: ParquetDatasetOptions,
): Promise<StreamedDataset> {
  return datasetOfParquetImages(await Promise.all(files.map((file) => openParquetImages(file, columns))), options)
}

/**
 * The same from files that are open.
 * @throws Ld3mError `data` if they do not belong together
 */
export function datasetOfParquetImages(
  opened: readonly ParquetImages[],
  { decode, ...info }: ParquetImagesOptions,
): StreamedDataset {
  const labels = opened.flatMap((file) => file.labels)
  const classNames = classNamesOf(info.name, opened, labels)
  const byName = new Map(classNames.map((name, label) => [name, label]))
  const ids = labelArray(labels.length, classNames.length)
  labels.forEach((label, i) => {
    ids[i] = typeof label === 'string' ? byName.get(label)! : label
  })
  const firsts = [0]
  for (const file of opened) firsts.push(firsts.at(-1)! + file.labels.length)

  const kept = new Pieces()
  const encoded = async (index: number): Promise<Uint8Array> => {
    const f = lastAtMost(firsts, index)
    const row = index - firsts[f]!
    const { pieces, images } = opened[f]!
    const p = lastAtMost(pieces, row)
    const piece = await kept.get(`${f}/${p}`, () => images(pieces[p]!, pieces[p + 1]!))
    return piece[row - pieces[p]!]!
  }
  const load = async (index: number) => {
    const f = lastAtMost(firsts, index)
    return await decode(await encoded(index), `in row ${index - firsts[f]!} of ${opened[f]!.name}`)
  }
  return createStreamedDataset({ ...info, labels: ids, classNames, load })
}

function classNamesOf(
  name: string,
  files: readonly ParquetImages[],
  labels: readonly (number | string)[],
): readonly string[] {
  const texts = labels.filter((label) => typeof label === 'string')
  if (texts.length > 0) {
    if (texts.length === labels.length) return [...new Set(texts)].sort()
    throw dataError(`The labels of '${name}' are names in some files and numbers in others.`, 'Load them one by one.')
  }
  const numbers = labels as readonly number[]
  const largest = numbers.reduce((a, b) => Math.max(a, b), 0)
  const names = files[0]?.classNames ?? Array.from({ length: largest + 1 }, (_, label) => String(label))
  const other = files.find(({ classNames }) => classNames && `${classNames}` !== `${names}`)
  if (other) throw dataError(`The files of '${name}' do not have the same classes.`, 'Load one dataset at a time.')
  if (largest < names.length) return names
  throw dataError(
    `'${name}' has the label ${largest}, but its metadata names ${names.length} classes.`,
    'The file is damaged, or its labels are another column; name it with labelColumn.',
  )
}

/** The last place whose entry is at most `value`, in an ascending list that begins below it. */
function lastAtMost(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (ascending[middle]! <= value) low = middle
    else high = middle
  }
  return low
}
