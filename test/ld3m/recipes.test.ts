import { describe, expect, test } from 'vitest'
import { createStreamedDataset, IMAGENET_STATISTICS, IMAGENET_SUBSETS } from '../../src/data/index.ts'
import {
  paperProtocol,
  paperRecipe,
  paperRecipeByName,
  paperRowName,
  paperRows,
  planDistill,
  priorAtSize,
  withRandomDenoiser,
} from '../../src/ld3m/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyPrior } from '../support/tiny.ts'

describe('the rows of the paper', () => {
  test('are as many as its tables have settings, each with a name of its own', () => {
    const ofTable = (table: number) => paperRows.filter((row) => row.table === table).length
    expect([2, 3, 4, 5].map(ofTable)).toEqual([3, 30, 10, 15])
    expect(new Set(paperRows.map(paperRowName)).size).toBe(paperRows.length)
    for (const row of paperRows) {
      const recipe = paperRecipe(row)
      expect(recipe).toMatchObject(row)
      expect(paperRecipeByName(recipe.name).name).toBe(paperRowName(row))
      const shape = [3, recipe.size, recipe.size]
      const { student } = recipe.distill
      expect(student?.inputShape).toEqual(shape)
      expect(student?.name).toBe(recipe.size === 256 ? 'ConvNet-6' : 'ConvNet-5')
      expect(recipe.evaluate.students.map(({ name }) => name)).toEqual(['AlexNet', 'VGG-11', 'ResNet-18', 'ViT'])
      for (const { inputShape, classes } of recipe.evaluate.students) expect([inputShape, classes]).toEqual([shape, 10])
      expect(recipe.experts !== undefined).toBe(row.objective === 'mtt')
      expect(recipe.assumed.length).toBeGreaterThan(0)
      if (row.objective === 'mtt') continue
      // The first map of the matched network, of the real images that it sees at once, fits into one binding.
      const microBatch = recipe.match().options.microBatch as number
      expect(microBatch * 128 * recipe.size ** 2 * 4).toBeLessThanOrEqual(2 ** 27)
    }
  })

  test('of ten images a class match in half a gigabyte, a few classes and real images at once', async () => {
    const device = await testDevice()
    const { distill, match } = paperRecipe({ table: 4, subset: 'imagenet-a', objective: 'dm', imagesPerClass: 10 })
    const shape = { channels: 3, height: 128, width: 128 }
    const dataset = createStreamedDataset({
      ...{ name: 'none', ...shape, classNames: [...'abcdefghij'], ...IMAGENET_STATISTICS },
      labels: Uint8Array.from({ length: 2560 }, (_, i) => i % 10),
      load: async () => new Uint8Array(3 * 128 * 128),
    })
    const { student, realBatch, imagesPerClass } = distill as Required<typeof distill>
    const matching = { dataset, objective: match(), student, realBatch, imagesPerClass, steps: 1 }
    expect(planDistill({ ...matching, space: 'pixel', device }).peakBytes).toBeLessThan(2 ** 29)
  })

  test('have the values of the text and of the code', () => {
    const a = paperRecipe({ table: 4, subset: 'imagenet-a', objective: 'dm', imagesPerClass: 10 })
    expect(a.distill).toMatchObject({
      ...{ imagesPerClass: 10, learningRate: 1, momentum: 0.5, realBatch: 256, chunk: 10 },
      priorClasses: IMAGENET_SUBSETS['imagenet-a'],
      diffusion: { steps: 10, guidance: 3 },
    })
    expect(a.match().name).toBe('DM')
    expect(a.published).toEqual({ mean: 57, std: 1.3 })
    const { epochs, warmup, averaging, runs } = paperProtocol()
    expect(a.evaluate).toMatchObject({ epochs, warmup, averaging, runs })

    const large = paperRecipe({ ...a, table: 5, objective: 'dc', imagesPerClass: 1, variant: 'ffhq' })
    expect(large.distill).toMatchObject({ learningRate: 0.1, diffusion: { steps: 20 } })
    // Faces have no classes.
    expect(large.distill.priorClasses).toBeUndefined()

    const fifty = paperRecipe({ table: 2, subset: 'cifar-10', objective: 'mtt', imagesPerClass: 50 })
    expect(fifty.distill).toMatchObject({ learningRate: 1000, priorClasses: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] })
    expect(fifty.published).toEqual({ mean: 73.2 })
    expect(() => fifty.match()).toThrow(/needs? experts/)

    const [conditioning, both, residual] = (['conditioning', 'both', 'residual'] as const).map(
      (variant) => paperRecipe({ table: 7, subset: 'imagenet-a', objective: 'dm', imagesPerClass: 1, variant }).distill,
    )
    expect(conditioning).toMatchObject({ learn: 'conditioning', diffusion: { residual: 'none' } })
    expect(both).toMatchObject({ diffusion: { residual: 'none' } })
    expect(residual?.diffusion).not.toHaveProperty('residual')
  })

  test('are asked for by what sets them apart', () => {
    const row = { subset: 'imagenet-a', objective: 'dc', imagesPerClass: 1 } as const
    expect(() => paperRecipe({ ...row, table: 5 })).toThrow(
      /more than one row.*Rows: table5-imagenet-a-dc-imagenet, table5-imagenet-a-dc-ffhq, table5-imagenet-a-dc-random/,
    )
    expect(() => paperRecipe({ ...row, table: 4 })).toThrow(/no row.*table4-imagenet-a-dm/)
    expect(() => paperRecipeByName('table9')).toThrow(/no row 'table9'/)
  })
})

describe('variants of a prior', () => {
  test('at another size share parameters, and outlive each other', async () => {
    const prior = tinyPrior(await testDevice())
    const larger = priorAtSize(prior, 12)
    expect([larger.latentShape, larger.config.image.width]).toEqual([[2, 6, 6], 12])
    const before = await prior.sample({ count: 1, steps: 2, seed: 1 })
    larger.dispose()
    expect((await prior.sample({ count: 1, steps: 2, seed: 1 })).data).toEqual(before.data)
    expect(() => priorAtSize(prior, 10)).toThrow(/size is 10.*multiple of 4/)
    prior.dispose()
  })

  test('with an untrained denoiser keep the autoencoder alone', async () => {
    const device = await testDevice()
    const before = device.memory.current
    const prior = tinyPrior(device)
    const random = withRandomDenoiser(prior, 4)
    const values = async (state: typeof prior.denoiserState) =>
      await Promise.all(Object.values(state).map(async (t) => [...(await t.read())]))
    expect(await values(random.autoencoderState)).toEqual(await values(prior.autoencoderState))
    expect(await values(random.denoiserState)).not.toEqual(await values(prior.denoiserState))
    random.dispose()
    prior.dispose()
    expect(device.memory.current).toBe(before)
  })
})
