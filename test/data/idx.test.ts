import { describe, expect, test } from 'vitest'
import { datasetFromIdx } from '../../src/data/index.ts'
import { writeIdx } from '../../src/io/index.ts'

const idx = (...shape: number[]) => {
  const count = shape.reduce((a, b) => a * b, 1)
  return writeIdx({ shape, data: Uint8Array.from({ length: count }, (_, i) => i % 7) })
}

describe('datasetFromIdx', () => {
  test('reads grey images [N, H, W] and names the classes by number', async () => {
    const dataset = await datasetFromIdx(idx(8, 2, 3), idx(8))
    expect(dataset).toMatchObject({ name: 'idx', count: 8, channels: 1, height: 2, width: 3 })
    expect(dataset.classNames).toEqual(['0', '1', '2', '3', '4', '5', '6'])
    expect([...dataset.labels]).toEqual([0, 1, 2, 3, 4, 5, 6, 0])
  })

  test('reads colour images [N, C, H, W] with names of their own', async () => {
    const dataset = await datasetFromIdx(idx(2, 3, 4, 5), idx(2), { name: 'pets', classNames: ['cat', 'dog'] })
    expect(dataset).toMatchObject({ name: 'pets', channels: 3, height: 4, width: 5, classNames: ['cat', 'dog'] })
  })

  test('refuses files that do not belong together', async () => {
    await expect(datasetFromIdx(idx(2), idx(2, 2, 2))).rejects.toThrow(
      /labels of shape \[N\].*\[2, 2, 2\].*images first/,
    )
    const misspelt = { classnames: ['q'] } as object
    await expect(datasetFromIdx(idx(2, 2, 2), idx(2), misspelt)).rejects.toThrow(
      /unknown option 'classnames'.*classNames/,
    )
    await expect(datasetFromIdx(idx(2, 2), idx(2))).rejects.toThrow(/images of shape \[N, H, W\].*\[2, 2\]/)
    await expect(datasetFromIdx(idx(2, 1, 1, 1, 1), idx(2))).rejects.toThrow(/it holds \[2, 1, 1, 1, 1\]/)
    await expect(datasetFromIdx(idx(3, 2, 2), idx(2))).rejects.toThrow(/3 images in the IDX images, but 2 labels/)
  })
})
