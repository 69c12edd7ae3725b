import { beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../src/gpu/index.ts'
import { type EvaluateOptions, evaluate, normalizationOf, randomReal, summarize } from '../../src/ld3m/index.ts'
import { convNet } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const dataset = tinyDataset()
const student = convNet({ channels: 1, size: 8, classes: 2, depth: 1, width: 8, norm: 'none' })
const optionsOf = (more: Partial<EvaluateOptions> = {}): EvaluateOptions => ({
  ...{ device, test: dataset, normalization: normalizationOf(dataset), students: [student], runs: 2, steps: 60 },
  ...{ train: () => randomReal(dataset, 8, 0), learningRate: 0.05, augmentation: ['flip'] },
  ...more,
})

describe('evaluate', () => {
  test('learns to tell bright images from dark ones, and repeats with one seed', async () => {
    const [a, b] = [await evaluate(optionsOf()), await evaluate(optionsOf())]
    expect(a['ConvNet-1']?.runs.length).toBe(2)
    expect(a['ConvNet-1']?.mean).toBeGreaterThan(0.9)
    expect(b).toEqual(a)
  })

  test('takes mini-batches of a larger set, and a set of its own for each run', async () => {
    const runs: number[] = []
    const train = (run: number) => {
      runs.push(run)
      return randomReal(dataset, 8, run)
    }
    const accuracy = await evaluate(optionsOf({ train, batch: 5 }))
    expect(accuracy['ConvNet-1']?.mean).toBeGreaterThan(0.8)
    expect(new Set(runs)).toEqual(new Set([0, 1]))
  })

  test('gives all memory back, also when it is aborted', async () => {
    const before = device.memory.current
    await evaluate(optionsOf({ steps: 2 }))
    await expect(evaluate(optionsOf({ signal: AbortSignal.abort() }))).rejects.toThrow(/aborted/)
    expect(device.memory.current).toBe(before)
  })

  test.each<[string, Partial<EvaluateOptions>, RegExp]>([
    ['no students', { students: [] }, /students is empty/],
    ['two students of one name', { students: [student, student] }, /two students are named 'ConvNet-1'/],
    ['no runs', { runs: 0 }, /runs is 0/],
    ['half a step', { steps: 0.5 }, /steps is 0.5/],
    ['a negative rate', { learningRate: -1 }, /learningRate is -1/],
    ['an unknown option', { epochs: 3 } as object, /unknown option 'epochs'/],
  ])('refuses %s', async (_, more, message) => {
    await expect(evaluate(optionsOf(more))).rejects.toThrow(message)
  })

  test('summarises runs by mean and sample standard deviation', () => {
    const { mean, std } = summarize([0.6, 0.7, 0.8])
    expect(mean).toBeCloseTo(0.7, 12)
    expect(std).toBeCloseTo(0.1, 12)
    expect(summarize([0.5]).std).toBe(0)
  })
})
