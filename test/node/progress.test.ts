import { expect, test } from 'vitest'
import { formatDuration } from '../../src/node/index.ts'

test('durations are told in the units that matter, and what takes time never as none', () => {
  const told = [0, 0.2, 0.6, 12, 185, 3725].map(formatDuration)
  expect(told).toEqual(['0 s', 'less than 1 s', '1 s', '12 s', '3 min 05 s', '1 h 02 min'])
})
