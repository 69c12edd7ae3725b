import { expect, test } from 'vitest'
import { count, overheadOf } from '../../bench/overhead/measure.ts'
import { openNullDevice } from '../../bench/overhead/null-device.ts'
import { workOn } from '../../bench/overhead/work.ts'
import { grad, ops, scope, tensor } from '../../src/autograd/index.ts'

test('the overhead bench measures every piece of work by op and by dispatch, and leaks no memory', async () => {
  const device = await openNullDevice()
  const works = workOn(device)
  const before = device.memory.current
  for (const work of works) {
    const row = await overheadOf(device, work, 2)
    expect(row.dispatches).toBeGreaterThan(0)
    expect(row.dispatch.median).toBeGreaterThan(0)
    expect(row.dispatch.p90).toBeGreaterThanOrEqual(row.dispatch.median)
    expect(row.op !== undefined).toBe(work.unit === 'op')
  }
  // Packed weights stay until the weights change.
  device.trim()
  expect(device.memory.current).toBeLessThanOrEqual(before)
  device.destroy()
})

test('it counts the ops that are applied and the kernels that are dispatched', async () => {
  const device = await openNullDevice()
  const x = tensor(device, [1, 2, 3])
  const run = () => scope(() => void ops.sum(ops.mul(ops.add(x, 1), x)))
  // The sum and the product are one chain.
  expect(count(device, run)).toEqual({ ops: 3, dispatches: 2 })
  expect(count(device, run)).toEqual({ ops: 3, dispatches: 2 })
  const map = tensor(device, [1, 2, 3, 4], { shape: [1, 2, 2], requiresGrad: true })
  // The sum, the norm, broadcasting in the sum's gradient, and the norm's gradient, an op of several outputs.
  const backward = () => scope(() => void grad(ops.sum(ops.groupNorm(map, { groups: 1 })), [map]))
  expect(count(device, backward).ops).toBe(4)
  device.destroy()
})
