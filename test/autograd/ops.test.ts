import fc from 'fast-check'
import { describe, test } from 'vitest'
import { type Op, type OpName, registry } from '../../src/autograd/index.ts'
import { samples } from '../samples/index.ts'
import type { Samples } from '../samples/types.ts'
import { checkForward, checkGradients } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

// One pair of properties for every op of the registry.
const RUNS = 12

describe.each(Object.keys(registry) as OpName[])('%s', (name) => {
  const op = registry[name] as unknown as Op<unknown>
  const sample = samples[name] as unknown as Samples<unknown>
  const cases = fc.tuple(sample.cases, fc.nat())

  test('gives what the float64 reference gives', async () => {
    const device = await testDevice()
    await fc.assert(
      fc.asyncProperty(cases, ([c, seed]) => checkForward(device, op, sample, c, seed)),
      { numRuns: RUNS },
    )
  })

  test('has first and second gradients that agree with finite differences', async () => {
    const device = await testDevice()
    await fc.assert(
      fc.asyncProperty(cases, ([c, seed]) => checkGradients(device, op, sample, c, seed)),
      { numRuns: RUNS },
    )
  })
})
