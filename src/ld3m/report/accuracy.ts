import type { Accuracy } from '../accuracy.ts'
import type { ReportData } from './data.ts'

/** One architecture's accuracies; a set it was not trained on is missing. */
export interface AccuracyRow {
  readonly name: string
  /** True for the architecture that the distillation matched on. */
  readonly seen: boolean
  readonly distilled?: Accuracy
  readonly randomReal?: Accuracy
  readonly wholeDataset?: Accuracy
}

/** The architectures in the order given, the seen one first. */
export function accuracyRows({ accuracy, seenArchitecture }: ReportData): AccuracyRow[] {
  const names = [...new Set([...Object.keys(accuracy.distilled), ...Object.keys(accuracy.randomReal)])]
  const distilled = new Map(Object.entries(accuracy.distilled))
  const randomReal = new Map(Object.entries(accuracy.randomReal))
  const wholeDataset = new Map(Object.entries(accuracy.wholeDataset ?? {}))
  const rows = names.map((name) => ({
    name,
    seen: name === seenArchitecture,
    ...(distilled.has(name) && { distilled: distilled.get(name)! }),
    ...(randomReal.has(name) && { randomReal: randomReal.get(name)! }),
    ...(wholeDataset.has(name) && { wholeDataset: wholeDataset.get(name)! }),
  }))
  return rows.sort((a, b) => Number(b.seen) - Number(a.seen))
}

/** Mean accuracy of training on distilled images less that of training on random real ones. */
export interface Difference {
  readonly value: number
  /** Both standard deviations together: so much may be chance. Infinite where one is of a single training. */
  readonly spread: number
}

/** The difference of a row; undefined unless both sets were trained on. */
export function differenceOf({ distilled, randomReal }: AccuracyRow): Difference | undefined {
  if (!distilled || !randomReal) return undefined
  const known = distilled.runs.length > 1 && randomReal.runs.length > 1
  return {
    value: distilled.mean - randomReal.mean,
    spread: known ? distilled.std + randomReal.std : Number.POSITIVE_INFINITY,
  }
}

/** The class of a difference's cell: none where it is no larger than its spread. */
export function toneOf({ value, spread }: Difference): '' | 'better' | 'worse' {
  if (Math.abs(value) <= spread) return ''
  return value > 0 ? 'better' : 'worse'
}

/** Means over the architectures that were trained on both sets and not seen; undefined if fewer than two. */
export function meanOverUnseen(
  rows: readonly AccuracyRow[],
): { count: number; distilled: number; randomReal: number; difference: Difference } | undefined {
  const unseen = rows.filter((row) => !row.seen && row.distilled && row.randomReal)
  if (unseen.length < 2) return undefined
  const mean = (of: (row: AccuracyRow) => number) => unseen.reduce((sum, row) => sum + of(row), 0) / unseen.length
  return {
    count: unseen.length,
    distilled: mean((row) => row.distilled!.mean),
    randomReal: mean((row) => row.randomReal!.mean),
    difference: {
      value: mean((row) => differenceOf(row)!.value),
      spread: mean((row) => differenceOf(row)!.spread),
    },
  }
}
