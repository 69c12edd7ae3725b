import { type AnyDataset, indicesByClass, splitDataset } from '../data/index.ts'
import { dataError, optionError } from '../errors.ts'
import { dataIdentity, hasPart, type OpenDatasetOptions, openDataset, type RunConfig } from '../node/index.ts'

/** The images that commands open. */
export type ImageSizes = Pick<OpenDatasetOptions, 'size' | 'channels'>

/** The option `--hold-out`. */
export const HOLD_OUT = {
  type: 'string',
  valueHint: 'FRACTION',
  description: 'Of data that has no part to test on: how much of each class is kept for that, such as 0.1',
} as const

/** The fraction that the option's text is. */
export function holdOutOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (value > 0 && value < 1) return value
  throw optionError(`--hold-out is '${text}'.`, 'Use a number between 0 and 1, such as 0.1.')
}

/**
 * The fraction that a run held out, undefined if none.
 * @throws Ld3mError `option` if the command line says another
 */
export function recordedHoldOut(run: string, { holdOut }: RunConfig, given: number | undefined): number | undefined {
  const recorded = typeof holdOut === 'number' ? holdOut : undefined
  if (given === undefined || given === recorded) return recorded
  throw optionError(`--hold-out is ${given}; ${run} held out ${recorded ?? 'nothing'}.`, 'Leave it out.')
}

/** Decides which images are held out, the same for all commands and machines. */
const SEED = 0

/** What data without a part to test on is divided into. */
export interface Divided {
  readonly train: AnyDataset
  readonly test: AnyDataset
  /** Identity of the whole data: which images are held out depends on all of it, not on the classes taken alone. */
  readonly heldOutFrom: string
}

/** Divides data without a part to test on. */
export async function divided(path: string, fraction: number, format: ImageSizes): Promise<Divided> {
  // Before classes are chosen, so that an image is held out or not whichever classes are taken.
  const whole = await openDataset(path, format)
  const single = indicesByClass(whole).findIndex(({ length }) => length === 1)
  if (single >= 0) {
    throw dataError(
      `--hold-out: class '${whole.classNames[single]}' of ${path} has a single image; all are divided, also those that --classes leaves out.`,
      'Give it a second image, or move it out of there.',
    )
  }
  const { train, validation: test } = splitDataset(whole, { validationFraction: fraction, seed: SEED })
  return { train, test, heldOutFrom: await dataIdentity(path, whole) }
}

/** Throws if data is not what a run divided: others of its images would be held out now, such as were distilled. */
export function checkUnchanged(path: string, run: string, { heldOutFrom }: RunConfig, now: string): void {
  if (heldOutFrom === now) return
  throw dataError(
    `${path} is not what ${run} held images out from: some were added, removed or renamed, or it is other data.`,
    'Give the data as it was, or distil again.',
  )
}

/** Throws for data with a part to test on, which needs no `--hold-out`. */
export async function checkUndivided(path: string): Promise<void> {
  if (!(await hasPart(path, 'test'))) return
  throw optionError(`--hold-out is of no use to ${path}, which has a part to test on already.`, 'Leave it out.')
}
