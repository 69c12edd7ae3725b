import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../src/gpu/index.ts'
import { decodePng } from '../../src/io/index.ts'
import { type DistillOptions, distill, distilledFromSafetensors, dm, evaluate } from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { accuracyText, openRun, type RunMetrics } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
let folder: string
beforeAll(async () => {
  device = await testDevice()
  folder = await mkdtemp(join(tmpdir(), 'ld3m-run-'))
})
afterAll(() => rm(folder, { recursive: true }))

const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
const optionsOf = (): DistillOptions => ({
  ...{ dataset: tinyDataset(), prior: tinyPrior(device), student, objective: dm(), imagesPerClass: 2, steps: 4 },
  diffusion: { steps: 2 },
  augmentation: ['color'],
})
const FILES = ['config.json', 'distilled.safetensors', 'images.png', 'metrics.json', 'report.html']
const json = async <T>(path: string): Promise<T> => JSON.parse(await readFile(path, 'utf8')) as T

describe('a run', () => {
  test('leaves images, tensors, options, metrics and a report', async () => {
    const directory = join(folder, 'whole')
    const options = optionsOf()
    const run = await openRun(directory, device)
    const set = await run.record(options, distill({ ...options, signal: run.signal, onProgress: run.onProgress }))
    const protocol = { device, test: options.dataset, normalization: set.normalization, students: [student], runs: 2 }
    const accuracy = await evaluate({ ...protocol, train: set, steps: 3, onProgress: run.onEvaluate('distilled') })
    await run.finish({ distilled: accuracy, randomReal: accuracy })

    expect((await readdir(directory)).sort()).toEqual(FILES)
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics).toMatchObject({ status: 'finished', adapter: device.info.description, iterations: 4 })
    expect(metrics.loss.length).toBe(4)
    expect(metrics.seconds).toBeGreaterThan(0)
    expect(metrics.accuracy.distilled['ConvNet-2']?.runs.length).toBe(2)
    expect(metrics.accuracy.randomReal).toEqual(metrics.accuracy.distilled)
    expect(distilledFromSafetensors(await readFile(join(directory, 'distilled.safetensors')))).toEqual(set)
    const config = await json<Record<string, unknown>>(join(directory, 'config.json'))
    expect(config).toMatchObject({ imagesPerClass: 2, steps: 4, objective: { name: 'DM' }, dataset: { name: 'tiny' } })
    const png = decodePng(await readFile(join(directory, 'images.png')))
    // A row a class: its two initial images, then its two final ones.
    expect(png.width / png.height).toBeCloseTo(2, 1)
    expect(await readFile(join(directory, 'report.html'), 'utf8')).toContain('tiny, distilled with LD3M and DM')
  })

  test('that is aborted is readable, with the state so far and the reason', async () => {
    const directory = join(folder, 'aborted')
    const options = { ...optionsOf(), steps: 50 }
    const controller = new AbortController()
    const run = await openRun(directory, device)
    const distillation = distill({
      ...options,
      signal: controller.signal,
      onProgress: ({ iteration }) => {
        if (iteration === 2) controller.abort()
      },
    })
    await expect(run.record(options, distillation)).rejects.toThrow(/aborted after 2 of 50/)
    expect((await readdir(directory)).sort()).toEqual(FILES)
    const metrics = await json<RunMetrics>(join(directory, 'metrics.json'))
    expect(metrics.status).toMatch(/aborted after 2 of 50/)
    expect(metrics.loss.length).toBe(2)
    expect(distilledFromSafetensors(await readFile(join(directory, 'distilled.safetensors'))).loss.length).toBe(2)
  })

  test('prints accuracies side by side', () => {
    const text = accuracyText({
      distilled: { ConvNet: { mean: 0.672, std: 0.011, runs: [0.66, 0.68] } },
      randomReal: { ConvNet: { mean: 0.5, std: 0.02, runs: [0.48, 0.52] } },
    })
    expect(text).toMatch(/ConvNet +67\.2 ± 1\.1 +50\.0 ± 2\.0 +\+17\.2/)
  })
})
