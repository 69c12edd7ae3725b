// The whole library in a few seconds: what CI runs on every adapter.
import { describe, expect, test } from 'vitest'
import { grad, ops, scope, tensor } from '../src/autograd/index.ts'
import { dc, distill, dm, evaluate } from '../src/ld3m/index.ts'
import { convNet } from '../src/models/index.ts'
import { testDevice } from './support/device.ts'
import { tinyDataset, tinyPrior } from './support/tiny.ts'

describe('smoke', () => {
  test('d²(x·w)/dx dw is 1', async () => {
    const device = await testDevice()
    const [dw] = scope(() => {
      const x = tensor(device, [3], { requiresGrad: true })
      const w = tensor(device, [5], { requiresGrad: true })
      const [dx] = grad(ops.sum(ops.mul(x, w)), [x], { createGraph: true })
      return grad(ops.sum(dx as typeof x), [w])
    })
    expect(await dw?.item()).toBe(1)
  })

  test('a convolution and its gradients agree with sums worked out by hand', async () => {
    const device = await testDevice()
    const [y, dx, dw] = scope(() => {
      const x = tensor(device, [1, 2, 3, 4, 5, 6, 7, 8, 9], { shape: [1, 1, 3, 3], requiresGrad: true })
      const w = tensor(device, [1, 0, 0, -1], { shape: [1, 1, 2, 2], requiresGrad: true })
      const y = ops.conv2d(x, w)
      return [y.detach(), ...grad(ops.sum(y), [x, w])]
    })
    expect([...((await y?.read()) ?? [])]).toEqual([-4, -4, -4, -4])
    expect([...((await dx?.read()) ?? [])]).toEqual([1, 1, 0, 1, 0, -1, 0, -1, -1])
    expect([...((await dw?.read()) ?? [])]).toEqual([12, 16, 24, 28])
  })

  test.each([dm(), dc()])('distils and evaluates a tiny dataset with %o', async (objective) => {
    const device = await testDevice()
    const prior = tinyPrior(device)
    const dataset = tinyDataset()
    const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
    const set = await distill({ dataset, prior, student, objective, steps: 2, realBatch: 4, diffusion: { steps: 2 } })
    expect(set.loss.every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true)
    const { normalization } = set
    const options = { device, test: dataset, normalization, students: [student], runs: 1, steps: 3 }
    const accuracy = (await evaluate({ ...options, train: set }))[student.name]
    expect(accuracy?.mean).toBeGreaterThanOrEqual(0)
    expect(accuracy?.mean).toBeLessThanOrEqual(1)
    prior.dispose()
  })
})
