import { type AnyDataset, splitDataset } from '../data/index.ts'
import { optionError } from '../errors.ts'
import { hasParts, type OpenDatasetOptions, openDataset, type RunConfig } from '../node/index.ts'

/** The images that commands open. */
export type ImageSizes = Pick<OpenDatasetOptions, 'size' | 'channels'>

/** The option `--hold-out`. */
export const HOLD_OUT = {
  type: 'string',
  valueHint: 'FRACTION',
  description: 'Of data that has no parts: how much of each class is kept to test on, such as 0.1',
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

/** The two parts that data without parts of its own is divided into. */
export async function divided(
  path: string,
  fraction: number,
  format: ImageSizes,
): Promise<{ train: AnyDataset; test: AnyDataset }> {
  // Before classes are chosen, so that an image is held out or not whichever classes are taken.
  const whole = await openDataset(path, format)
  const { train, validation: test } = splitDataset(whole, { validationFraction: fraction, seed: SEED })
  return { train, test }
}

/** Throws for data with parts, which needs no `--hold-out`. */
export async function checkUndivided(path: string): Promise<void> {
  if (!(await hasParts(path))) return
  throw optionError(`--hold-out is of no use to ${path}, which has parts already.`, 'Leave it out.')
}
