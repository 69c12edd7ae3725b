import { expect, test } from 'vitest'
import { didYouMean } from '../src/did-you-mean.ts'

test('finds the word that was probably meant', () => {
  const known = ['steps', 'seed', 'imagesPerClass', 'std']
  for (const [word, meant] of [
    ['stpes', 'steps'],
    ['Step', 'steps'],
    ['sede', 'seed'],
    ['images_per_class', 'imagesPerClass'],
    ['imagePerClas', 'imagesPerClass'],
    ['sd', 'std'],
  ] as const) {
    expect(didYouMean(word, known)).toBe(`Did you mean '${meant}'? `)
  }
  expect(didYouMean('prior', known)).toBe('')
  expect(didYouMean('x', [])).toBe('')
  expect(didYouMean('stesp', known, (name) => `--${name}`)).toBe('Did you mean --steps? ')
})
