import { expect, test } from 'vitest'
import type { Taught } from '../../experiments/fashion-runs.ts'
import { ARCHITECTURES, accuracyTable, acrossUnseen, spread } from '../../experiments/tables.ts'

/** A set from which the first architecture, which was matched, learned otherwise than the others. */
const taught = (matched: number, unseen: number): Taught => ({
  accuracy: Object.fromEntries(
    ARCHITECTURES.map((name, i) => {
      const mean = i === 0 ? matched : unseen
      return [name, { mean, std: 0, runs: [mean] }]
    }),
  ),
})

test('a spread is the mean and the sample standard deviation over seeds, in percent', () => {
  expect(spread([0.5, 0.6, 0.7])).toBe('60.0 ± 10.0')
  expect(spread([0.123])).toBe('12.3')
})

test('the mean of the unseen leaves out the architecture that was matched', () => {
  expect(acrossUnseen(taught(0.9, 0.4))).toBeCloseTo(0.4)
})

test('a table has a row for all that has results, with the number of seeds', () => {
  const rows = [
    { head: ['LD3M'], results: [taught(0.9, 0.4), taught(0.7, 0.5)] },
    { head: ['pixels'], results: [] },
  ]
  const [head, rule, row, ...more] = accuracyTable(['from'], rows).split('\n') as [string, string, string]
  expect(more).toEqual([])
  expect(row).toMatch(/^\| LD3M \| 2 \| 80\.0 ± 14\.1 \| 45\.0 ± 7\.1 \|.* 45\.0 ± 7\.1 \|$/)
  for (const line of [head, rule]) expect(line.split('|').length).toBe(row.split('|').length)
})
