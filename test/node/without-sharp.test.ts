import { expect, test, vi } from 'vitest'
import { openImageDecoder } from '../../src/node/index.ts'

vi.mock('sharp', () => {
  throw new Error("Cannot find package 'sharp'")
})

test('without sharp, images are an error that says what to install', async () => {
  await expect(openImageDecoder({ size: 8 })).rejects.toMatchObject({
    code: 'option',
    message: expect.stringMatching(/by the npm package sharp, which cannot be loaded: .+ Run npm install sharp\.$/),
  })
})
