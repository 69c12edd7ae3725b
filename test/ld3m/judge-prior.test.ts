import { beforeAll, describe, expect, test } from 'vitest'
import { createDataset, createStreamedDataset, toFloat } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { judgePrior, psnr, reconstruct, sampleClasses } from '../../src/ld3m/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyConfig, tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const flat = (values: readonly number[]) => ({ shape: [values.length], data: Float32Array.from(values) })

test('psnr is the mean squared error on a scale of decibels', () => {
  expect(psnr(flat([0, 0.5, 1, 0.2]), flat([0.1, 0.4, 0.9, 0.3]))).toBeCloseTo(20, 4)
  expect(psnr(flat([0, 0]), flat([1, 0]))).toBeCloseTo(3.0103, 4)
  expect(psnr(flat([0.3]), flat([0.3]))).toBe(Number.POSITIVE_INFINITY)
  expect(() => psnr(flat([1]), flat([1, 2]))).toThrow(/psnr: the images are \[1\] and \[2\]/)
})

describe('judgePrior', () => {
  test('measures 64 images, and shows each class: real, given back, from noise', async () => {
    const prior = tinyPrior(device)
    const dataset = tinyDataset(50)
    const judged = await judgePrior(prior, dataset, { seed: 5 })
    // The prior's weights are packed by now.
    const before = device.memory.current
    expect(await judgePrior(prior, dataset, { seed: 5 })).toEqual(judged)
    expect(device.memory.current).toBe(before)
    const { count, columns, picture } = judged
    expect([count, columns, picture.shape]).toEqual([64, 2, [6, 1, 8, 8]])

    const row = (i: number) => picture.data.slice(i * 128, (i + 1) * 128)
    const indexOf = (image: Float32Array) =>
      Array.from(dataset.labels.keys()).find((i) => `${toFloat(dataset, [i])}` === `${image}`) as number
    const shown = [indexOf(row(0).slice(0, 64)), indexOf(row(0).slice(64))]
    expect(shown.map((i) => dataset.labels[i])).toEqual([0, 1])
    expect(row(1)).toEqual((await reconstruct(prior, dataset, shown)).decoded.data)
    expect(row(2)).toEqual((await sampleClasses(prior, [0, 1])).data)
    expect(row(2).slice(64)).toEqual((await prior.sample({ classId: 1, seed: 1 })).data)

    // Of all images: 64 of a hundred are near.
    const { real, decoded } = await reconstruct(prior, dataset, Array.from(dataset.labels.keys()))
    expect(Math.abs(judged.psnr - psnr(real, decoded))).toBeLessThan(0.3)

    const { images, count: _count, ...info } = dataset
    const load = async (i: number) => images.slice(i * 64, (i + 1) * 64)
    expect(await judgePrior(prior, createStreamedDataset({ ...info, load }), { seed: 5 })).toEqual(judged)
    expect((await judgePrior(prior, dataset)).picture.data).not.toEqual(picture.data)
    prior.dispose()
  })

  test('shows ten of more classes, in order, and none without images', async () => {
    const classNames = Array.from({ length: 13 }, (_, i) => `class ${i}`)
    const prior = tinyPrior(device, { ...tinyConfig, classes: 13, classNames })
    // Class 4 has no image; the pixels of an image say which class it is.
    const labels = Uint8Array.from(Array.from({ length: 13 }, (_, i) => i).filter((i) => i !== 4))
    const images = Uint8Array.from({ length: labels.length * 64 }, (_, i) => labels[Math.floor(i / 64)] as number)
    const dataset = createDataset({ name: 'many', images, labels, channels: 1, height: 8, width: 8, classNames })
    const { columns, picture, count } = await judgePrior(prior, dataset)
    expect([columns, count, picture.shape[0]]).toEqual([10, 12, 30])
    const shown = Array.from({ length: 10 }, (_, i) => Math.round((picture.data[i * 64] as number) * 255))
    expect(shown).toEqual([...new Set(shown)].sort((a, b) => a - b))
    expect(shown).not.toContain(4)
    prior.dispose()
  })

  test('shows samples without a class where the prior is unconditional', async () => {
    const { contextDim: _contextDim, ...denoiser } = tinyConfig.denoiser
    const config = { ...tinyConfig, classes: 0, denoiser: { ...denoiser, attentionLevels: [] } }
    const prior = tinyPrior(device, config)
    const { columns, picture } = await judgePrior(prior, tinyDataset(2), { seed: 5 })
    expect([columns, picture.shape]).toEqual([2, [6, 1, 8, 8]])
    expect(picture.data.slice(4 * 64)).toEqual((await prior.sample({ count: 2, seed: 5 })).data)
    prior.dispose()
  })

  test.each<[string, readonly string[], RegExp]>([
    ['in another order', ['bright', 'dark'], /class 0 is 'dark' in the prior, and 'bright' in the dataset.*order/],
    ['of other names', ['dark', 'grey'], /class 1 is 'bright' in the prior, and 'grey' in the dataset/],
    ['fewer', ['dark'], /class 1 is 'bright' in the prior, and 'none' in the dataset/],
  ])('classes %s are refused before an image is read', async (_, classNames, said) => {
    const prior = tinyPrior(device, { ...tinyConfig, classNames: ['dark', 'bright'] })
    const read = (): never => {
      throw new Error('an image was read')
    }
    const { images: _images, count: _count, labels, ...info } = tinyDataset()
    const own = labels.map((label) => Math.min(label, classNames.length - 1))
    const dataset = createStreamedDataset({ ...info, labels: own, classNames, load: async () => read() })
    const refused = { code: 'data', message: expect.stringMatching(said) }
    await expect(judgePrior(prior, dataset)).rejects.toMatchObject(refused)
    prior.dispose()
  })

  test('options that it does not have, and samples of nothing, are refused', async () => {
    const prior = tinyPrior(device)
    const misspelt = { sed: 5 } as object
    await expect(judgePrior(prior, tinyDataset(1), misspelt)).rejects.toThrow(/judgePrior: unknown option 'sed'/)
    await expect(judgePrior(prior, tinyDataset(1), { seed: -1 })).rejects.toThrow(/judgePrior: seed is -1/)
    await expect(sampleClasses(prior, [])).rejects.toThrow(/sampleClasses: classIds is empty/)
    await expect(sampleClasses(prior, [0], 0)).rejects.toThrow(/sampleClasses: rows is 0/)
    prior.dispose()
  })

  test('images of another size, or none, are refused', async () => {
    const prior = tinyPrior(device)
    const dataset = tinyDataset(1)
    await expect(judgePrior(prior, { ...dataset, height: 4, width: 16 })).rejects.toThrow(
      /encodes images of \[N, 1, 8, 8\]/,
    )
    await expect(reconstruct(prior, dataset, [])).rejects.toThrow(/indices is empty/)
    prior.dispose()
  })
})
