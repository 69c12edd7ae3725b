import { expect, test } from 'vitest'
import { ops, scope, tensor } from '../../src/autograd/index.ts'
import type { TraceEvent } from '../../src/gpu/index.ts'
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

test('its table has a line for each row and the totals', async () => {
  const device = await testDevice()
  const x = tensor(device, new Float32Array(1000))
  const { rows, table } = await device.profile(() => scope(() => void ops.sum(ops.exp(ops.exp(x)))))
  const [head, ...lines] = table.split('\n')
  expect(head!.trim().split(/\s+/)).toEqual(['calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'kernel'])
  expect(lines.map((l) => l.trim().split(/\s+/).at(-1))).toEqual([...rows.map((r) => r.kernel), 'all'])
  expect(lines.map((l) => Number(l.trim().split(/\s+/)[0]))).toEqual([...rows.map((r) => r.calls), 2])
  x.dispose()
})

test('its trace holds every kernel once, in order, and what it sums to is the table', async () => {
  const device = await testDevice()
  const x = tensor(device, new Float32Array(10_000).fill(0.5))
  // More than two batches.
  const { rows, trace } = await device.profile(() =>
    scope(() => {
      for (let i = 0; i < 300; i++) scope(() => void ops.sum(ops.exp(x)))
    }),
  )
  x.dispose()
  expect(JSON.parse(JSON.stringify(trace))).toEqual(trace)
  const spans = trace.traceEvents.filter((e) => e.ph === 'X') as Required<TraceEvent>[]
  for (const { ts, dur, name } of spans) expect(ts >= 0 && dur >= 0, name).toBe(true)
  expect([...spans].sort((a, b) => a.ts - b.ts)).toEqual(spans)
  const names = trace.traceEvents.filter((e) => e.ph === 'M')
  expect(new Set(spans.map((e) => e.pid))).toEqual(new Set(names.map((e) => e.pid)))

  const kernels = spans.filter((e) => e.cat === 'kernel')
  for (const { kernel, calls, ms } of rows) {
    const own = kernels.filter((e) => e.args.variant === kernel)
    expect(own).toHaveLength(calls)
    expect(own.reduce((sum, e) => sum + e.dur, 0) / 1000).toBeCloseTo(ms, 6)
  }
  expect(kernels).toHaveLength(600)
  expect(kernels[0]!.args['GB/s']).toBeGreaterThan(0)

  // Events of one track follow each other.
  const ends = new Map<string, number>()
  for (const { pid, tid, ts, dur } of spans) {
    const track = `${pid}.${tid}`
    expect(ts).toBeGreaterThanOrEqual((ends.get(track) ?? 0) - 1e-3)
    ends.set(track, ts + dur)
  }
  // No kernel starts before the first batch is submitted.
  const submitted = Math.min(...spans.filter((e) => e.name === 'submit').map((e) => e.ts))
  expect(Math.min(...kernels.map((e) => e.ts))).toBeGreaterThanOrEqual(submitted)
  expect(spans.filter((e) => e.name === 'record').reduce((n, e) => n + Number(e.args.commands), 0)).toBe(600)
})

test('a profile of nothing is empty', async () => {
  const device = await testDevice()
  const { rows, trace } = await device.profile(() => undefined)
  expect(rows).toEqual([])
  expect(trace.traceEvents.filter((e) => e.ph === 'X')).toEqual([])
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
