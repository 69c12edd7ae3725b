import { expect, test } from 'vitest'
import { waitAsleep } from '../../src/node/patience.ts'

const later = (ms: number, fails = false) =>
  new Promise<number>((resolve, reject) => setTimeout(() => (fails ? reject(new Error('lost')) : resolve(ms)), ms))

test('gives what was waited for, many at once, and errors', async () => {
  const waits = Array.from({ length: 50 }, (_, i) => waitAsleep(later(i % 7)))
  await expect(waitAsleep(later(3, true))).rejects.toThrow('lost')
  expect(await Promise.all(waits)).toEqual(Array.from({ length: 50 }, (_, i) => i % 7))
})

test('leaves the processor to others', async () => {
  const before = process.cpuUsage()
  await waitAsleep(later(400))
  const { user, system } = process.cpuUsage(before)
  expect((user + system) / 1000).toBeLessThan(250)
})

test('sleeps once a turn, also after many waits in a row', async () => {
  for (let i = 0; i < 500; i++) await waitAsleep(Promise.resolve(i))
  const pending = waitAsleep(later(100))
  const started = performance.now()
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(performance.now() - started).toBeLessThan(60)
  await pending
})
