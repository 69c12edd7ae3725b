import { expect, test } from 'vitest'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { applyModule, convNet, disposeState } from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { goldenState, readGolden, values, valuesTensor } from '../support/golden.ts'

interface MatchingGolden {
  readonly loss: number
  readonly gradient: readonly number[]
  /** The loss's slope along draws of seed 3, by central differences in float64. */
  readonly alongDraws: number
}

test('gradient matching through a ConvNet has the second-order gradient of PyTorch and of finite differences', async () => {
  const device = await testDevice()
  const golden = readGolden<MatchingGolden>('gradient-matching.json')
  const student = convNet({ channels: 2, size: 8, classes: 3, depth: 2, width: 4 })
  const state = goldenState(device, student, 400)
  const weights = Object.values(state)
  const { loss, gradient } = scope(() => {
    const synthetic = valuesTensor(device, 1, [3, 2, 8, 8], -2, 2).leaf()
    const real = valuesTensor(device, 2, [6, 2, 8, 8], -2, 2)
    const crossEntropy = (x: Tensor) => {
      const labels = tensor(
        device,
        Int32Array.from({ length: x.shape[0]! }, (_, i) => i % 3),
      )
      return ops.crossEntropy(applyModule(student, state, x), labels)
    }
    const target = grad(crossEntropy(real), weights)
    const matched = grad(crossEntropy(synthetic), weights, { createGraph: true })
    const rowsOf = (x: Tensor) => ops.reshape(x, [x.shape[0]!, -1])
    const norm = (x: Tensor) => ops.sqrt(ops.sum(ops.square(x), 1))
    const distances = matched.flatMap((g, i) => {
      if (g.rank < 2) return []
      const [a, b] = [rowsOf(g), rowsOf(target[i]!)] as const
      const cosine = ops.div(ops.sum(ops.mul(a, b), 1), ops.add(ops.mul(norm(a), norm(b)), 1e-6))
      return [ops.sum(ops.affine(cosine, -1, 1))]
    })
    const total = distances.reduce((a, b) => ops.add(a, b))
    return { loss: total, gradient: grad(total, [synthetic])[0]! }
  })
  expectClose([await loss.item()], [golden.loss], 1e-4, 'loss')
  const g = await gradient.read()
  expectClose(g, golden.gradient, 1e-4, 'gradient')
  const direction = values(3, [g.length])
  const along = g.reduce((s, v, i) => s + v * direction[i]!, 0)
  expect(Math.abs(along - golden.alongDraws)).toBeLessThan(1e-4 * Math.hypot(...g))
  loss.dispose()
  gradient.dispose()
  disposeState(state)
})
