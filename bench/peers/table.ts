/** What is printed while a comparison goes. */
import type { Comparison, Figures } from './runner.ts'

const line = (work: string, shape: string, cells: readonly string[], ratio: string): string =>
  [work.padEnd(46), shape.padEnd(31), ...cells.map((cell) => cell.padStart(22)), ratio.padStart(7)].join(' ')

export const tableHead = (libraries: readonly string[]): string => line('work', 'shape', libraries, 'ratio')

export function tableRow({ work, shape, ours, peers, ratio }: Comparison): string {
  const cells = [ours, ...Object.values(peers)].map(cellOf)
  return line(work, shape, cells, ratio === null ? '–' : ratio.toFixed(2))
}

function cellOf(figures: Figures | 'unsupported'): string {
  if (figures === 'unsupported') return figures
  const { ms, gflops } = figures
  return `${ms.toFixed(2)} ms${gflops === null ? '' : ` (${gflops.toFixed(1)} GF/s)`}`
}

/** How the ratios of all rows sum up; null without any ratio. */
export interface Summary {
  readonly geometricMean: number | null
  readonly lowest: number | null
}

export function summaryOf(rows: readonly Comparison[]): Summary {
  const ratios = rows.flatMap(({ ratio }) => (ratio === null ? [] : [ratio]))
  if (ratios.length === 0) return { geometricMean: null, lowest: null }
  const logarithms = ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0)
  return { geometricMean: Math.exp(logarithms / ratios.length), lowest: Math.min(...ratios) }
}
