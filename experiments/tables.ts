// Experiments' results as Markdown.
import type { Taught } from './fashion-runs.ts'
import { scale } from './scale.ts'

const { seen, unseen } = scale

export const ARCHITECTURES: readonly string[] = [seen, ...unseen].map(({ name }) => name)

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** Mean ± sample standard deviation, in percent; without it for a single value. */
export function spread(values: readonly number[]): string {
  const m = mean(values)
  const percent = (x: number) => (100 * x).toFixed(1)
  if (values.length < 2) return percent(m)
  return `${percent(m)} ± ${percent(Math.sqrt(values.reduce((a, v) => a + (v - m) ** 2, 0) / (values.length - 1)))}`
}

const of = (result: Taught, name: string): number => result.accuracy[name]?.mean ?? Number.NaN

/** Mean accuracy of the architectures that were not matched. */
export const acrossUnseen = (result: Taught): number => mean(unseen.map(({ name }) => of(result, name)))

/** A row of a table of accuracies. */
export interface AccuracyRow {
  /** What it is of. */
  readonly head: readonly string[]
  /** One a seed. */
  readonly results: readonly Taught[]
}

/** Each architecture's accuracy over the seeds, and the mean of the unseen; rows without results are left out. */
export function accuracyTable(head: readonly string[], rows: readonly AccuracyRow[]): string {
  const columns = [...head, 'seeds', ...ARCHITECTURES, 'mean of unseen']
  const lines = rows
    .filter(({ results }) => results.length > 0)
    .map(({ head, results }) =>
      row([
        ...[...head, results.length],
        ...ARCHITECTURES.map((name) => spread(results.map((result) => of(result, name)))),
        spread(results.map(acrossUnseen)),
      ]),
    )
  return [row(columns), row(columns.map(() => '---')), ...lines].join('\n')
}

export const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
