import { basename, join, resolve } from 'node:path'
import { type CifarFile, type Dataset, datasetFromCifar } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import { readBytes } from './files.ts'
import { type Listing, listFolder, named } from './folders.ts'

export interface LoadCifarOptions {
  /** Default 'train'. */
  readonly split?: 'train' | 'test'
  /** Of CIFAR-100: the 100 fine or the 20 coarse classes. Default 'fine'. */
  readonly labels?: 'fine' | 'coarse'
}

const TRAIN_BATCH = /^data_batch_(\d+)\.bin$/

/** True if a folder holds CIFAR's binary version. */
export const isCifar = ({ files }: Listing): boolean => isCifar10(files) || isCifar100(files)

const isCifar10 = (files: readonly string[]) =>
  files.some((file) => TRAIN_BATCH.test(file) || file === 'test_batch.bin')
const isCifar100 = (files: readonly string[]) => files.includes('train.bin') || files.includes('test.bin')

/** Whether one of a folder's files holds images of a split. */
export const hasCifarPart = ({ files }: Listing, split: 'train' | 'test'): boolean =>
  isCifar10(files)
    ? files.some((file) => (split === 'test' ? file === 'test_batch.bin' : TRAIN_BATCH.test(file)))
    : files.includes(`${split}.bin`)

/**
 * Loads one split of CIFAR-10 or CIFAR-100 from a folder of its binary version: `data_batch_1.bin` and so on and
 * `test_batch.bin`, or `train.bin` and `test.bin`. Class names are read from `batches.meta.txt` or
 * `fine_label_names.txt` beside them, where those are there. The dataset is named after the folder.
 * @throws Ld3mError `data` if the folder or a file is missing, truncated or foreign; `option` for an unknown option
 */
export async function loadCifar(directory: string, options: LoadCifarOptions = {}): Promise<Dataset> {
  rejectUnknownOptions('loadCifar', options, ['split', 'labels'])
  const { split = 'train', labels = 'fine' } = options
  if (split !== 'train' && split !== 'test') {
    throw optionError(`loadCifar: split is ${JSON.stringify(split)}.`, "Give 'train' or 'test'.")
  }
  const { files } = await listFolder(directory)
  const ten = isCifar10(files)
  const names = ten ? batches(directory, files, split) : files.filter((file) => file === `${split}.bin`)
  if (names.length === 0) {
    throw dataError(
      `There are no CIFAR ${split} images in ${directory}; it holds ${named(files)}.`,
      'Put data_batch_1.bin to data_batch_5.bin and test_batch.bin of CIFAR-10, or train.bin and test.bin of CIFAR-100, there.',
    )
  }
  const read = async (file: string): Promise<CifarFile> => {
    const source = join(directory, file)
    return { bytes: await readBytes(source), source }
  }
  const meta = ten ? 'batches.meta.txt' : `${labels}_label_names.txt`
  const text = files.includes(meta) ? new TextDecoder().decode((await read(meta)).bytes) : undefined
  return datasetFromCifar(await Promise.all(names.map(read)), {
    name: basename(resolve(directory)),
    labels: ten ? 'only' : labels,
    ...(text !== undefined && { classNames: text.split('\n').flatMap((line) => line.trim() || []) }),
  })
}

/** CIFAR-10's files of a split, in the order of their numbers. */
function batches(directory: string, files: readonly string[], split: 'train' | 'test'): string[] {
  if (split === 'test') return files.filter((file) => file === 'test_batch.bin')
  const found = files.filter((file) => TRAIN_BATCH.test(file))
  found.sort((a, b) => Number(TRAIN_BATCH.exec(a)![1]) - Number(TRAIN_BATCH.exec(b)![1]))
  const missing = found.findIndex((file, i) => file !== `data_batch_${i + 1}.bin`)
  if (missing >= 0) {
    throw dataError(`data_batch_${missing + 1}.bin is missing in ${directory}.`, 'Fetch it, or remove those after it.')
  }
  return found
}
