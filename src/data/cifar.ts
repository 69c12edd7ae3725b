import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import { CIFAR_SIZE, readCifar } from '../io/index.ts'
import { createDataset, type Dataset } from './dataset.ts'

/** The classes of CIFAR-10, in the order of its labels. */
export const CIFAR10_CLASSES: readonly string[] = [
  ...['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
]

/** The bytes of a file, and how messages call it. */
export interface CifarFile {
  readonly bytes: Uint8Array
  readonly source: string
}

export interface CifarDatasetOptions {
  /** Default 'cifar'. */
  readonly name?: string
  /** Which label of a record counts: CIFAR-10's only one, or one of CIFAR-100's two. Default 'only'. */
  readonly labels?: 'only' | 'coarse' | 'fine'
  /** One name a class, in the order of the labels. Default `CIFAR10_CLASSES` for 'only', else the labels' numbers. */
  readonly classNames?: readonly string[]
}

/** Labels a record, which of them it is, and how many classes there are. */
const LAYOUTS = {
  only: { perRecord: 1, at: 0, classes: 10 },
  coarse: { perRecord: 2, at: 0, classes: 20 },
  fine: { perRecord: 2, at: 1, classes: 100 },
} as const

/**
 * A dataset of 32×32 RGB images from files of CIFAR-10's or CIFAR-100's binary version, one after the other.
 * @throws Ld3mError `data` if there is no file, or one is truncated or foreign; `option` for an unknown option
 */
export function datasetFromCifar(files: readonly CifarFile[], options: CifarDatasetOptions = {}): Dataset {
  rejectUnknownOptions('datasetFromCifar', options, ['name', 'labels', 'classNames'])
  const { name = 'cifar', labels: which = 'only' } = options
  if (!Object.hasOwn(LAYOUTS, which)) {
    throw optionError(`datasetFromCifar: labels is '${which}'.`, "Give 'only', 'coarse' or 'fine'.")
  }
  const { perRecord, at, classes } = LAYOUTS[which]
  const classNames = options.classNames ?? (which === 'only' ? CIFAR10_CLASSES : numbersBelow(classes))
  const parts = files.map(({ bytes, source }) => {
    const { labels, images } = readCifar(bytes, perRecord, source)
    const own = labels.filter((_, i) => i % perRecord === at)
    const stray = own.findIndex((label) => label >= classNames.length)
    if (stray >= 0) {
      throw dataError(
        `Record ${stray} of ${source} has label ${own[stray]}, but there are ${classNames.length} classes.`,
        'The file is damaged or of another CIFAR; fetch it again.',
      )
    }
    return { labels: own, images }
  })
  return createDataset({
    name,
    labels: concat(parts.map(({ labels }) => labels)),
    images: concat(parts.map(({ images }) => images)),
    ...{ channels: 3, height: CIFAR_SIZE, width: CIFAR_SIZE, classNames },
  })
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const numbersBelow = (count: number): string[] => Array.from({ length: count }, (_, label) => String(label))
