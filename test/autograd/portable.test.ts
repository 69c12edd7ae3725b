import fc from 'fast-check'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Op, ops, registry } from '../../src/autograd/index.ts'
import type { Device, DeviceOptions } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { samples } from '../samples/index.ts'
import { norm } from '../samples/norm.ts'
import type { Samples } from '../samples/types.ts'
import { checkForward, checkGradients } from '../support/checks.ts'

// What the launch functions choose for other adapters than this one, run on this one.
describe.each<[string, DeviceOptions, readonly (keyof typeof registry)[]]>([
  ['without subgroups', { withoutSubgroups: true }, ['matmul', 'conv2d', 'conv2dInputGrad', 'conv2dWeightGrad', 'sum']],
  [
    'as on a GPU',
    { likeHardware: true },
    [
      ...(['groupNorm', 'groupNormGrad', 'groupNormTangent', 'groupNormSecondGrad'] as const),
      ...(['sum', 'argmax', 'scatterAdd', 'softmax', 'crossEntropy'] as const),
      ...(['matmul', 'conv2d', 'conv2dWeightGrad', 'attention', 'gridSampleAdjoint'] as const),
    ],
  ],
])('%s', (_, options, names) => {
  let device: Device
  beforeAll(async () => {
    device = await openDevice(options)
  })
  afterAll(() => device.destroy())

  test.each(names)('%s agrees with the float64 reference, with its first and second gradients', async (name) => {
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

  test.each([
    [7, 9],
    [48, 53],
  ])('norms groups of %d×%d positions, which many invocations share', async (h, w) => {
    const attrs = { groups: 2, eps: 1e-3, activation: 'none' as const }
    const c = { inputs: [{ shape: [2, 6, h, w] }, { shape: [6] }, { shape: [6] }], attrs }
    await checkForward(device, ops.groupNormOp, norm.groupNorm, c, 1)
    await checkGradients(device, ops.groupNormOp, norm.groupNorm, c, 2)
  })
})
