import { existsSync } from 'node:fs'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { createStreamedDataset, type Dataset, splitDataset } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { dm } from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { type ExperimentOptions, runExperiment } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { folderOf } from '../support/image-files.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
const parts = () => {
  const { train, validation } = splitDataset(tinyDataset(), { validationFraction: 0.25 })
  return { train, validation, test: tinyDataset(5) }
}

const experiment = (validation?: ReturnType<typeof parts>['validation'] | ReturnType<typeof streamed>) => {
  const { train, test } = parts()
  const brief = { students: [student], runs: 1, steps: 3 }
  return {
    ...{ train, test, evaluate: brief },
    distill: { prior: tinyPrior(device), student, objective: dm(), steps: 6, diffusion: { steps: 2 } },
    ...(validation && { choose: { ...brief, validation, every: 2 } }),
  } satisfies ExperimentOptions
}

const streamed = ({ images, count: _count, ...info }: Dataset, onRead: () => void) => {
  const dataset = createStreamedDataset({ ...info, load: async (i) => images.slice(i * 64, (i + 1) * 64) })
  return {
    ...dataset,
    read: async (indices: ArrayLike<number>) => {
      onRead()
      return await dataset.read(indices)
    },
  }
}

const text = (...path: string[]) => readFile(join(...path), 'utf8')

describe('an experiment', () => {
  test('distils, chooses, tests, and leaves a report; interrupted while it chooses, it goes on to the same result', async () => {
    const [whole, broken] = [join(await folderOf({}), 'run'), join(await folderOf({}), 'run')]
    const { validation } = parts()
    const result = await runExperiment(whole, experiment(validation))
    const { history, ...chosen } = JSON.parse(await text(whole, 'choice.json'))
    expect(history.map(({ iteration }: { iteration: number }) => iteration)).toEqual([2, 4, 6])
    const best = Math.max(...history.map(({ mean }: { mean: number }) => mean))
    expect(history.find(({ mean }: { mean: number }) => mean === best)).toMatchObject({ iteration: chosen.iteration })
    expect(result.chosen).toEqual(chosen)
    expect(result.set.loss.length).toBe(chosen.iteration)
    expect(JSON.parse(await text(whole, 'metrics.json'))).toMatchObject({
      ...{ status: 'finished', iterations: chosen.iteration, accuracy: result.accuracy },
    })
    expect(await text(whole, 'report.html')).toContain('tiny, distilled with LD3M and DM')

    let reads = 0
    const interrupted = streamed(validation, () => {
      // Each evaluation reads the validation images once; the second one is that of iteration 4.
      if (++reads === 2) process.emit('SIGINT')
    })
    await expect(runExperiment(broken, experiment(interrupted))).rejects.toMatchObject({ code: 'aborted' })
    expect(JSON.parse(await text(broken, 'choice.json')).history.length).toBe(1)
    // A kill may come when the state is written, and the set is still that of an earlier save.
    await cp(join(broken, 'choice.safetensors'), join(broken, 'distilled.safetensors'))
    const resumed = await runExperiment(broken, experiment(validation))
    expect(resumed).toEqual(result)
    expect(await text(broken, 'choice.json')).toBe(await text(whole, 'choice.json'))
  })

  test.each<[string, () => object, RegExp]>([
    ['an unknown option', () => ({ evalute: {} }), /runExperiment: unknown option 'evalute'/],
    [
      'an unknown option of the evaluation',
      () => ({ evaluate: { students: [student], step: 3 } }),
      /evaluate: unknown option 'step'/,
    ],
    ['no trainings', () => ({ evaluate: { students: [student], runs: 0 } }), /runs is 0/],
    ['no networks', () => ({ evaluate: { students: [] } }), /students is empty/],
    [
      'other classes to test on',
      () => ({ test: { ...tinyDataset(5), classNames: ['bright', 'dark'] } }),
      /class 0 is 'dark' in the images to train on, and 'bright' in those to test on/,
    ],
    [
      'other classes to choose by',
      () => ({
        choose: { students: [student], validation: { ...tinyDataset(5), classNames: ['bright', 'dark'] } },
      }),
      /class 0 is 'dark' in the images to train on/,
    ],
  ])('says before it distils what cannot be judged: %s', async (_, more, message) => {
    const folder = join(await folderOf({}), 'run')
    await expect(runExperiment(folder, { ...experiment(), ...more() })).rejects.toThrow(message)
    expect(existsSync(folder)).toBe(false)
  })

  test('that is done is judged again without distilling, and not with other options', async () => {
    const folder = join(await folderOf({}), 'run')
    const first = await runExperiment(folder, experiment())
    expect(first.chosen).toBeUndefined()
    expect(first.set.loss.length).toBe(6)
    const before = await readFile(join(folder, 'distilled.safetensors'))
    const { distill, ...rest } = experiment()
    const again = await runExperiment(folder, { ...rest, evaluate: { ...rest.evaluate, runs: 2 }, distill })
    expect(again.accuracy.distilled['ConvNet-2']?.runs.length).toBe(2)
    expect(await readFile(join(folder, 'distilled.safetensors'))).toEqual(before)
    const other = { ...rest, distill: { ...distill, imagesPerClass: 2, seed: 1 } }
    await expect(runExperiment(folder, other)).rejects.toThrow(
      /other options: imagesPerClass \(1 before, 2 now\), seed \(0 before, 1 now\)/,
    )
    // Of the same names and sizes.
    const images = rest.train.images.map((v) => 255 - v)
    await expect(runExperiment(folder, { ...rest, distill, train: { ...rest.train, images } })).rejects.toThrow(
      /other options: dataset.mean \(\[0\.\d+\] before, \[0\.\d+\] now\)/,
    )
    const chosen = experiment(parts().validation)
    await expect(runExperiment(folder, chosen)).rejects.toThrow(/other options: choose \(none before/)
  })
})
