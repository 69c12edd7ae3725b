import { expect, test } from 'vitest'
import { counted, listed } from '../src/words.ts'

test('counts in the singular and the plural', () => {
  expect([counted(1, 'image'), counted(0, 'image'), counted(1200, 'class', 'classes')]).toEqual([
    '1 image',
    '0 images',
    '1,200 classes',
  ])
})

test('lists so many words at most, and how many there are besides', () => {
  expect(listed(['a', 'b'], 2)).toBe('a, b')
  expect(listed(['a', 'b', 'c', 'd'], 2)).toBe('a, b, and 2 more')
  expect(listed(['a', 'b', 'c'], 1, '; ')).toBe('a; and 2 more')
})
