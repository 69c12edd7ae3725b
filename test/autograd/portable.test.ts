import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Op, registry } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { samples } from '../samples/index.ts'
import type { Samples } from '../samples/types.ts'
import { checkForward, checkGradients } from '../support/checks.ts'

// Adapters without subgroups run kernels of their own.
describe.each(['matmul', 'conv2d', 'conv2dInputGrad', 'conv2dWeightGrad'] as const)('%s without subgroups', (name) => {
  let device: Device
  beforeAll(async () => {
    device = await openDevice({ withoutSubgroups: true })
  })
  afterAll(() => device.destroy())

  test('agrees with the float64 reference, with its first and second gradients', async () => {
    const op = registry[name] as unknown as Op<unknown>
    const sample = samples[name] as unknown as Samples<unknown>
    await fc.assert(
      fc.asyncProperty(sample.cases, fc.nat(), async (c, seed) => {
        await checkForward(device, op, sample, c, seed)
        await checkGradients(device, op, sample, c, seed)
      }),
      { numRuns: 10 },
    )
  })
})
