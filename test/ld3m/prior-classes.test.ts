import { beforeAll, describe, expect, test } from 'vitest'
import { selectClasses } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { byteSource, openCheckpoint } from '../../src/io/index.ts'
import {
  type DistilledSet,
  distill,
  dm,
  type LatentDiffusionSpaceOptions,
  type Prior,
  type PriorConfig,
  priorFromCheckpoint,
} from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyConfig, tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const priorOf = (more: Partial<PriorConfig>): Prior => tinyPrior(device, { ...tinyConfig, ...more })

const distilled = (prior: Prior, classNames: readonly string[], more: Partial<LatentDiffusionSpaceOptions> = {}) => {
  const dataset = { ...tinyDataset(), classNames }
  const student = convNet({ channels: 1, size: 8, classes: 2, depth: 1, width: 2 })
  return distill({ dataset, prior, student, objective: dm(), steps: 1, learn: 'latents', ...more })
}

/** The prior's class whose embedding each conditioning is. */
async function startsOf({ conditioning }: DistilledSet, prior: Prior): Promise<number[]> {
  const [rows, width] = prior.embedding.shape as [number, number]
  const table = await prior.embedding.read()
  return [0, 1].map((i) => {
    const own = `${conditioning?.data.subarray(i * width, (i + 1) * width)}`
    return Array.from({ length: rows }, (_, id) => `${table.subarray(id * width, (id + 1) * width)}`).indexOf(own)
  })
}

describe('a class starts from', () => {
  test.each<[string, Partial<PriorConfig>, readonly string[], readonly number[]]>([
    ["the prior's class of its name", { classNames: ['bright', 'dark'] }, ['dark', 'bright'], [1, 0]],
    ['the one of its name among more', { classes: 3, classNames: ['x', 'dark', 'bright'] }, ['bright', 'dark'], [2, 1]],
    ["the prior's class of its number, where the dataset has no names", { classNames: ['a', 'b'] }, ['0', '1'], [0, 1]],
    ['the one of its number, where the prior has no names', { classNames: ['0', '1'] }, ['dark', 'bright'], [0, 1]],
    ['the one of its number, where a prior says nothing', {}, ['dark', 'bright'], [0, 1]],
    ['the one whose number is its name', { classes: 3, classNames: ['0', '1', '2'] }, ['2', '1'], [2, 1]],
  ])('%s', async (_, config, classNames, ids) => {
    const prior = priorOf(config)
    expect(await startsOf(await distilled(prior, classNames), prior)).toEqual(ids)
  })

  test('another where priorClasses says so', async () => {
    const prior = priorOf({ classNames: ['bright', 'dark'] })
    expect(await startsOf(await distilled(prior, ['dark', 'bright'], { priorClasses: [0, 0] }), prior)).toEqual([0, 0])
  })

  test('none of other names, unless priorClasses is given', async () => {
    const prior = priorOf({ classNames: ['dress', 'hat'] })
    const refused = { code: 'option', message: expect.stringMatching(/no class 'dark', only dress, hat.*priorClasses/) }
    await expect(distilled(prior, ['dark', 'bright'])).rejects.toMatchObject(refused)
    await expect(distilled(priorOf({ classes: 3 }), ['dark', 'bright'])).rejects.toThrow(
      /the dataset has 2 classes \(dark, bright\), the prior 3 classes without names\. Pass priorClasses/,
    )
    const classNames = Array.from({ length: 12 }, (_, k) => `hat ${k}`)
    await expect(distilled(priorOf({ classes: 12, classNames }), ['0', '1'])).rejects.toThrow(
      /2 classes without names, the prior 12 classes \(hat 0, hat 1, .*, hat 9, and 2 more\)/,
    )
  })
})

test("a prior's file keeps the names of its classes, which do not count when a run is resumed", async () => {
  const classNames = ['bright', 'dark']
  const prior = priorOf({ classNames })
  const read = await priorFromCheckpoint(device, await openCheckpoint(byteSource(await prior.toSafetensors())))
  expect(read.config.classNames).toEqual(classNames)
  expect(await read.identity()).toEqual(await priorOf({}).identity())
})

test("a prior's file may write the names of its classes in another form of Unicode", async () => {
  const prior = priorOf({ classNames: ['cre\u0302pe', 'e\u0301clair'] })
  const read = await priorFromCheckpoint(device, await openCheckpoint(byteSource(await prior.toSafetensors())))
  expect(await startsOf(await distilled(read, ['\u00e9clair', 'cr\u00eape']), read)).toEqual([1, 0])
})

test('a part of the classes finds the names of a prior of all', async () => {
  const prior = priorOf({ classNames: ['dark', 'bright'] })
  const dataset = selectClasses(tinyDataset(), ['bright'])
  const student = convNet({ channels: 1, size: 8, classes: 1, depth: 1, width: 2 })
  const set = await distill({ dataset, prior, student, objective: dm(), steps: 1, learn: 'latents' })
  expect((await startsOf(set, prior))[0]).toBe(1)
})
