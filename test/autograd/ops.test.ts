import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Op, type OpName, registry } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { samples } from '../samples/index.ts'
import type { Samples } from '../samples/types.ts'
import { checkForward, checkGradients } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'

// One set of properties for every op of the registry.
const RUNS = 12
/** Without fusion it is the same graphs and fewer different kernels. */
const PLAIN_RUNS = 5

/** The same adapter, where every op runs at once. */
let plain: Device
beforeAll(async () => {
  plain = await openDevice({ fuse: false })
})
afterAll(() => plain.destroy())

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

  test('has the same gradients where chains of ops are not fused', async () => {
    await fc.assert(
      fc.asyncProperty(cases, ([c, seed]) => checkGradients(plain, op, sample, c, seed)),
      { numRuns: PLAIN_RUNS },
    )
  })
})
