import { Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../../errors.ts'
import type { HostTensor } from '../../models/index.ts'
import type { Accuracy } from '../accuracy.ts'

/** What a report tells about a distillation. */
export interface ReportData {
  readonly title: string
  /** How far the run came, or why it ended early. */
  readonly status?: string
  /** The adapter that ran it, as the device describes itself. */
  readonly adapter: string
  /** Wall-clock seconds of the distillation. */
  readonly seconds: number
  readonly iterations: number
  /** The options of the run: plain data, nested as it likes. */
  readonly config: Readonly<Record<string, unknown>>
  readonly classNames: readonly string[]
  /** Each [M, C, H, W] with C = 1 or 3, values in [0, 1]. */
  readonly images: {
    /** What the initial latents and conditionings give. */
    readonly initial: HostTensor
    /** The distilled images, in the same order. */
    readonly final: HostTensor
    /** Class of each image. */
    readonly labels: ArrayLike<number>
  }
  /** The objective's loss at each iteration. Values that are not finite are left out of the curve, and counted. */
  readonly loss: readonly number[]
  /** Test accuracy by architecture, after training on the distilled images and on as many random real ones. */
  readonly accuracy: {
    readonly distilled: Readonly<Record<string, Accuracy>>
    readonly randomReal: Readonly<Record<string, Accuracy>>
    readonly wholeDataset?: Readonly<Record<string, Accuracy>>
  }
  /** How the networks were trained, and what on they were tested: plain data. */
  readonly evaluation?: { readonly test: { readonly name: string; readonly count: number } }
  /** The architecture that the distillation matched on, marked apart from those it never saw. */
  readonly seenArchitecture?: string
  /** The learning rate for students that was learned with the images. */
  readonly studentLearningRate?: number
  /** Name of the safetensors file that holds the set, beside the report, which then tells how to load it. */
  readonly file?: string
}

const FIELDS = [
  ...['title', 'adapter', 'seconds', 'iterations', 'config', 'classNames', 'images', 'loss', 'accuracy', 'status'],
  ...['evaluation', 'seenArchitecture', 'studentLearningRate', 'file'],
]

/**
 * @throws Ld3mError `option` for an unknown field, a number out of range or a config that is not plain data, `shape`
 * for images that do not fit each other, `numeric` for accuracies or pixels that are not finite
 */
export function checkReportData(data: ReportData): void {
  rejectUnknownOptions('renderReport', data, FIELDS)
  const { images, classNames } = data
  for (const field of ['seconds', 'iterations'] as const) {
    if (!(Number.isFinite(data[field]) && data[field] >= 0)) {
      throw optionError(`renderReport: ${field} is ${data[field]}.`, 'Give a number of at least 0.')
    }
  }
  checkImages('initial', images.initial)
  checkImages('final', images.final)
  if (String(images.initial.shape) !== String(images.final.shape)) {
    throw shapeError(
      `renderReport: initial images are [${images.initial.shape.join(', ')}], but final ones ` +
        `[${images.final.shape.join(', ')}].`,
      'Give both of one shape, in the same order.',
    )
  }
  if (images.labels.length !== images.final.shape[0]) {
    throw shapeError(
      `renderReport: there are ${images.final.shape[0]} images, but ${images.labels.length} labels.`,
      'Give one label an image.',
    )
  }
  for (const label of Array.from(images.labels)) {
    if (classNames[label] === undefined) {
      throw optionError(`renderReport: label ${label} has no class name.`, `Give labels below ${classNames.length}.`)
    }
  }
  for (const set of ['distilled', 'randomReal', 'wholeDataset'] as const) {
    for (const [name, accuracy] of Object.entries(data.accuracy[set] ?? {})) checkAccuracy(`${set} '${name}'`, accuracy)
  }
  try {
    JSON.stringify(data.config)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw optionError(`renderReport: config is not plain data: ${reason}.`, 'Give what JSON can hold.')
  }
}

function checkImages(which: string, { shape, data }: HostTensor): void {
  const [count, channels, height, width] = shape as [number, number, number, number]
  const whole = shape.length === 4 && shape.every((size) => Number.isSafeInteger(size) && size > 0)
  if (!whole || (channels !== 1 && channels !== 3) || data.length !== count * channels * height * width) {
    throw shapeError(
      `renderReport: ${which} images have shape [${shape.join(', ')}] and ${data.length} values.`,
      'Give [M, C, H, W] with C = 1 or 3, and as many values.',
    )
  }
  if (!data.every(Number.isFinite)) {
    throw new Ld3mError('numeric', `renderReport: ${which} images hold NaN or infinity.`, 'Give values in [0, 1].')
  }
}

function checkAccuracy(which: string, { mean, std, runs }: Accuracy): void {
  const fraction = (value: number) => value >= 0 && value <= 1
  if (!fraction(mean) || !(Number.isFinite(std) && std >= 0) || !runs.every(fraction)) {
    throw new Ld3mError(
      'numeric',
      `renderReport: accuracy of ${which} has mean ${mean}, std ${std} and runs [${runs.join(', ')}].`,
      'Give fractions from 0 to 1.',
    )
  }
}
