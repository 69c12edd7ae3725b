import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { BindGroups, type BindingLayout } from '../../src/gpu/bind-groups.ts'
import type { GpuBuffer } from '../../src/gpu/index.ts'
import { housekeeping } from '../../src/node/housekeeping.ts'

function counted() {
  const calls = { made: 0, collected: 0, checked: 0 }
  const device = { createBindGroup: () => ({ made: ++calls.made }) } as unknown as GPUDevice
  const groups = new BindGroups(device, { collect: () => calls.collected++, check: () => calls.checked++ })
  const layout = { id: 1, handle: {} } as BindingLayout
  const get = (id: number) => groups.get(layout, [{ id, handle: {} } as unknown as GpuBuffer])
  return { calls, groups, get }
}

test('bind groups are made once for the same buffers, until they are forgotten', () => {
  const { calls, groups, get } = counted()
  const buffer = { id: 7, handle: {} } as unknown as GpuBuffer
  const layout = { id: 1, handle: {} } as BindingLayout
  const first = groups.get(layout, [buffer])
  expect(groups.get(layout, [buffer])).toBe(first)
  expect(groups.get({ ...layout }, [buffer])).not.toBe(first)
  groups.forget()
  expect(groups.get(layout, [buffer])).not.toBe(first)
  get(8)
  expect(calls.made).toBe(4)
})

test('many new bind groups let the host collect garbage, and check what is left on the way', () => {
  const { calls, get } = counted()
  for (let id = 0; id < 12_000; id++) get(id)
  expect(calls).toEqual({ made: 12_000, collected: 0, checked: 3 })
  for (let id = 0; id < 24_000; id++) get(id + 12_000)
  expect(calls).toEqual({ made: 36_000, collected: 2, checked: 9 })
})

test('a loop of stable buffers makes no new bind groups', () => {
  const { calls, groups } = counted()
  const buffers = Array.from({ length: 100 }, (_, id) => ({ id, handle: {} }) as unknown as GpuBuffer)
  const layout = { id: 1, handle: {} } as BindingLayout
  for (let i = 0; i < 200; i++) for (const buffer of buffers) groups.get(layout, [buffer])
  expect(calls).toEqual({ made: 100, collected: 0, checked: 1 })
})

test('the host collects what nobody holds, and a process of ordinary size passes its check', async () => {
  const held = new WeakRef({ size: new Array(1000) })
  await setImmediate()
  housekeeping.collect()
  await setImmediate()
  expect(held.deref()).toBe(undefined)
  expect(() => housekeeping.check()).not.toThrow()
})
