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

/** Means over the architectures that were trained on both sets and not seen; undefined if fewer than two. */
export function meanOverUnseen(
  rows: readonly AccuracyRow[],
): { count: number; distilled: number; randomReal: number } | undefined {
  const unseen = rows.filter((row) => !row.seen && row.distilled && row.randomReal)
  if (unseen.length < 2) return undefined
  const mean = (set: 'distilled' | 'randomReal') => unseen.reduce((sum, row) => sum + row[set]!.mean, 0) / unseen.length
  return { count: unseen.length, distilled: mean('distilled'), randomReal: mean('randomReal') }
}
