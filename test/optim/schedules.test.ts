import { expect, test } from 'vitest'
import { cosineSchedule, linearSchedule, warmupCosineSchedule } from '../../src/optim/index.ts'

test('a cosine goes from 1 by one half to 0 and stays there', () => {
  expect([0, 50, 100, 120].map((s) => cosineSchedule(s, 100))).toEqual([1, expect.closeTo(0.5, 12), 0, 0])
})

test('a line goes from start to end', () => {
  expect([0, 5, 10].map((s) => linearSchedule(s, 10))).toEqual([1, 0.5, 0])
  expect(linearSchedule(1, 4, 0.2, 1)).toBeCloseTo(0.4, 12)
})

test('warm-up goes straight to 1 and gives way to a cosine', () => {
  const at = (s: number) => warmupCosineSchedule(s, 500, 1000, 1e-7)
  expect(at(0)).toBe(1e-7)
  expect(at(250)).toBeCloseTo(0.5, 6)
  expect(at(500)).toBe(1)
  expect(at(750)).toBeCloseTo(0.5, 12)
  expect(at(1000)).toBe(0)
  expect(warmupCosineSchedule(0, 0, 10)).toBe(1)
})
