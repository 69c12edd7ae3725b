import { expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
import { testDevice } from '../support/device.ts'

test('a profile has a row for each kernel variant, with its calls, time and stated work', async () => {
  const device = await testDevice()
  if (!device.info.features.has('timestamp-query')) {
    await expect(device.profile(() => 1)).rejects.toThrow(/no timestamp queries/)
    return
  }
  const x = tensor(device, new Float32Array(100_000).fill(1))
  const { result, rows } = await device.profile(() =>
    scope(() => {
      // Asking for the buffer computes it: what nobody asks for never runs.
      for (let i = 0; i < 300; i++) scope(() => ops.exp(x).buffer)
      return ops.sum(ops.mul(x, 2))
    }),
  )
  expect(await result.item()).toBe(200_000)
  const exp = rows.find((r) => r.kernel === 'elementwise[exp]')
  expect(exp).toMatchObject({ calls: 300 })
  expect(exp!.ms).toBeGreaterThan(0)
  // 4 bytes read and 4 written an element; the bandwidth follows from the time.
  expect(exp!.gbs).toBeCloseTo((300 * 8 * 100_000) / exp!.ms / 1e6, 6)
  expect(rows.map((r) => r.calls)).toEqual(expect.arrayContaining([300, 1, 1]))
  expect(rows.reduce((sum, r) => sum + r.share, 0)).toBeCloseTo(1, 9)
  expect([...rows].sort((a, b) => b.ms - a.ms)).toEqual(rows)

  // Outside of a profile nothing is timed, and a new profile begins at zero.
  scope(() => ops.exp(x).buffer)
  const again = await device.profile(async () => {
    const y = scope(() => ops.exp(x))
    await y.read()
    y.dispose()
  })
  expect(again.rows).toEqual([expect.objectContaining({ calls: 1 })])
  result.dispose()
  x.dispose()
})

test('a profile ends with its body, also where that throws', async () => {
  const device = await testDevice()
  const timed = device.info.features.has('timestamp-query')
  const fail = () => {
    throw new Error('on purpose')
  }
  await expect(device.profile(fail)).rejects.toThrow(timed ? 'on purpose' : /no timestamp queries/)
  const x = tensor(device, [2])
  const y = scope(() => ops.exp(x))
  expect(await y.item()).toBeCloseTo(Math.exp(2), 4)
  for (const t of [x, y]) t.dispose()
})
