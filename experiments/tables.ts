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

/** A row of a table of accuracies: what it is of, each architecture's over the seeds, and the mean of the unseen. */
export const accuracyRow = (head: readonly string[], results: readonly Taught[]): string =>
  row([
    ...head,
    ...ARCHITECTURES.map((name) => spread(results.map((result) => of(result, name)))),
    spread(results.map(acrossUnseen)),
  ])

export const accuracyHead = (head: readonly string[]): string =>
  `${row([...head, ...ARCHITECTURES, 'mean of unseen'])}\n${row([...head, ...ARCHITECTURES, ''].map(() => '---'))}`

export const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
