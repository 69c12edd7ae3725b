import { expect, test } from 'vitest'
import { trajectoryAdvice } from '../../src/node/trajectory-advice.ts'
import { realSet } from '../support/distilled.ts'
import { tinyDataset } from '../support/tiny.ts'

const set = (studentLearningRate: number | undefined, loss: number[]) => ({
  ...realSet(tinyDataset(), 1, { mean: [0], std: [1] }),
  ...(studentLearningRate !== undefined && { studentLearningRate }),
  loss,
})

test('tells of a student learning rate that collapsed, and why', () => {
  expect(trajectoryAdvice(set(1e-5, [143.6, 0.99]), 0.01)).toMatch(
    /^The student's learning rate fell from 0.0100 to 0.0000100, since at first students went too far \(a loss of 144\)/,
  )
  expect(trajectoryAdvice(set(1e-5, [0.99, 0.98]), 0.01)).toMatch(
    /fell from 0.0100 to 0.0000100: networks learn little/,
  )
})

test.each([
  ['a rate that was learned', set(0.005, [0.9, 0.8]), 0.01],
  ['an objective without one', set(undefined, [2]), undefined],
])('says nothing of %s', (_, of, initial) => {
  expect(trajectoryAdvice(of, initial)).toBe(undefined)
})
