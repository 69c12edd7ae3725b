import { type Accuracy, accuracyParts } from '../ld3m/index.ts'
import type { AccuracyTable } from './run-evaluation.ts'

/** A table of accuracies in percent, one architecture a row. */
export function accuracyText({ distilled, randomReal, wholeDataset }: AccuracyTable): string {
  const show = (accuracy: Accuracy | undefined) => (accuracy ? accuracyParts(accuracy).join(' ') : '–')
  const rows = Object.keys(distilled).map((name) => {
    const gain = 100 * ((distilled[name]?.mean ?? Number.NaN) - (randomReal[name]?.mean ?? Number.NaN))
    return [
      name,
      show(distilled[name]),
      show(randomReal[name]),
      Number.isNaN(gain) ? '–' : `${gain > 0 ? '+' : ''}${gain.toFixed(1)}`,
      ...(wholeDataset ? [show(wholeDataset[name])] : []),
    ]
  })
  const head = ['test accuracy in %', 'distilled', 'random real', 'gain', ...(wholeDataset ? ['whole dataset'] : [])]
  const table = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...table.map((row) => (row[i] as string).length)))
  return table
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('   '),
    )
    .join('\n')
}
