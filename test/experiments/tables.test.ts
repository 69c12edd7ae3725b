import { expect, test } from 'vitest'
import type { Taught } from '../../experiments/fashion-runs.ts'
import { ARCHITECTURES, accuracyHead, accuracyRow, acrossUnseen, spread } from '../../experiments/tables.ts'

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

test('a row has as many cells as its head', () => {
  const row = accuracyRow(['LD3M'], [taught(0.9, 0.4), taught(0.7, 0.5)])
  expect(row).toMatch(/^\| LD3M \| 80\.0 ± 14\.1 \| 45\.0 ± 7\.1 \|.* 45\.0 ± 7\.1 \|$/)
  const bars = (line: string) => line.split('|').length
  for (const line of accuracyHead(['from']).split('\n')) expect(bars(line)).toBe(bars(row))
})
