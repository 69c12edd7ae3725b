import { readdir } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { type Dataset, datasetFromIdx } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import { readBytes } from './files.ts'

export interface LoadIdxOptions {
  /** Default 'train'. */
  readonly split?: 'train' | 'test'
  /** One name a class, in the order of the labels. Default: the labels' numbers. */
  readonly classNames?: readonly string[]
}

/** MNIST's own name for each split, then the plain one that some mirrors use. */
const SPLIT_PREFIXES = { train: ['train'], test: ['t10k', 'test'] } as const

/**
 * Loads one split of MNIST, Fashion-MNIST or a relative from a folder with the standard file names:
 * `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, with `-idx` or `.idx`, with or without `.gz`.
 * The dataset is named after the folder.
 * @throws Ld3mError `data` if the folder or a file is missing (the message lists what was looked for), damaged or
 * foreign, `option` for an unknown split
 */
export async function loadIdx(directory: string, options: LoadIdxOptions = {}): Promise<Dataset> {
  rejectUnknownOptions('loadIdx', options, ['split', 'classNames'])
  const { split = 'train', classNames } = options
  if (!Object.hasOwn(SPLIT_PREFIXES, split)) {
    throw optionError(`loadIdx: split is ${JSON.stringify(split)}.`, "Give 'train' or 'test'.")
  }
  const images = await findFile(directory, split, 'images', 'idx3')
  const labels = await findFile(directory, split, 'labels', 'idx1')
  return await datasetFromIdx(await readBytes(images), await readBytes(labels), {
    name: basename(resolve(directory)),
    imagesSource: images,
    labelsSource: labels,
    ...(classNames && { classNames }),
  })
}

/** Whether one of a folder's files holds the images of a split. */
export const hasIdxPart = (files: readonly string[], split: 'train' | 'test'): boolean =>
  files.some((file) =>
    SPLIT_PREFIXES[split].some((prefix) => /^-images[-.]/.test(file.slice(prefix.length)) && file.startsWith(prefix)),
  )

async function findFile(directory: string, split: 'train' | 'test', kind: string, idx: string): Promise<string> {
  const names = SPLIT_PREFIXES[split].flatMap((prefix) =>
    ['-', '.'].flatMap((dot) => ['', '.gz'].map((gz) => `${prefix}-${kind}${dot}${idx}-ubyte${gz}`)),
  )
  let found: string[]
  try {
    found = await readdir(directory)
  } catch (cause) {
    throw dataError(
      `Cannot read the folder ${directory}: ${(cause as Error).message}.`,
      'Give a folder with IDX files.',
      cause,
    )
  }
  const name = names.find((name) => found.includes(name))
  if (name !== undefined) return join(directory, name)
  const shown = found.length === 0 ? 'nothing' : found.sort().slice(0, 20).join(', ') + (found.length > 20 ? ', …' : '')
  throw dataError(
    `There are no ${split} ${kind} in ${directory}. Looked for ${names.join(', ')}; the folder holds ${shown}.`,
    'Put the file there under one of these names.',
  )
}
