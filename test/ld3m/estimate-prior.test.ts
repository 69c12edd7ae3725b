import { expect, test } from 'vitest'
import { estimateTrainPrior, trainPrior } from '../../src/ld3m/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyRecipe } from '../support/tiny.ts'

const recipe = tinyRecipe({ steps: 30, batch: 32 }, { steps: 40, batch: 48 })

test('estimateTrainPrior tells the memory of a training and the time of its parts, and leaves nothing behind', async () => {
  const device = await testDevice()
  const dataset = tinyDataset()
  const onProgress = () => expect.fail('a trial is no training')
  const before = device.memory.current
  const estimate = await estimateTrainPrior({ device, dataset, recipe, onProgress }, { timed: 4 })
  expect(device.memory.current).toBe(before)

  const { peakBytes, stages, encodingSeconds, seconds } = estimate
  expect(stages.map(({ stage, steps }) => [stage, steps])).toEqual([
    ['autoencoder', 30],
    ['denoiser', 40],
  ])
  const [first = Number.NaN, second = Number.NaN] = stages.map(({ secondsPerStep }) => secondsPerStep)
  expect(Math.min(first, second, encodingSeconds)).toBeGreaterThan(0)
  expect(seconds).toBeCloseTo(30 * first + encodingSeconds + 40 * second, 9)

  // Losses that wait to be read are all that a plan leaves out.
  device.resetPeak()
  const { prior } = await trainPrior({ device, dataset, recipe })
  expect(peakBytes / device.memory.peak).toBeGreaterThan(0.97)
  expect(peakBytes / device.memory.peak).toBeLessThanOrEqual(1)

  // With an autoencoder that is there, the denoiser alone.
  const { autoencoder: _autoencoder, autoencoderTraining: _training, ...ofDenoiser } = recipe
  const given = { options: prior.config.autoencoder, state: prior.autoencoderState }
  const held = device.memory.current
  const rest = await estimateTrainPrior({ device, dataset, recipe: ofDenoiser, autoencoder: given })
  expect(rest.stages.map(({ stage }) => stage)).toEqual(['denoiser'])
  expect(device.memory.current - held).toBeLessThan(100_000)
  expect(await Object.values(prior.autoencoderState)[0]?.read()).toBeDefined()
  prior.dispose()

  await expect(estimateTrainPrior({ device, dataset, recipe }, { timed: 0 })).rejects.toThrow(/timed is 0/)
})

test('estimateTrainPrior knows of the codes that wait to be renewed', async () => {
  const device = await testDevice()
  const dataset = tinyDataset()
  const longer = tinyRecipe({ steps: 50, batch: 256 }, { steps: 2, batch: 2 })
  const { peakBytes } = await estimateTrainPrior({ device, dataset, recipe: longer }, { timed: 1 })
  device.resetPeak()
  const { prior } = await trainPrior({ device, dataset, recipe: longer })
  expect(peakBytes / device.memory.peak).toBeGreaterThan(0.999)
  expect(peakBytes / device.memory.peak).toBeLessThanOrEqual(1)
  prior.dispose()
})
