import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type Tensor, tensor } from '../../src/autograd/index.ts'
import { BufferUsage } from '../../src/gpu/flags.ts'
import type { GpuBuffer } from '../../src/gpu/index.ts'
import { StagingBuffers } from '../../src/gpu/staging.ts'
import { openDevice } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'

/** Buffers that count. */
function counted() {
  const live = new Set<GPUBuffer>()
  const device = {
    createBuffer: ({ size }: GPUBufferDescriptor) => {
      const buffer = { size, unmap: () => undefined, destroy: () => live.delete(buffer) } as unknown as GPUBuffer
      live.add(buffer)
      return buffer
    },
  } as unknown as GPUDevice
  const bytes = (buffers: Iterable<GPUBuffer>) => [...buffers].reduce((sum, { size }) => sum + size, 0)
  return { live, bytes, staging: new StagingBuffers(device) }
}

describe('staging buffers', () => {
  test('go to one reader at a time, are large enough, and are kept up to 8 MiB', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 4, max: 3 << 20 }), fc.boolean()), { maxLength: 60 }),
        (steps) => {
          const { live, bytes, staging } = counted()
          const taken = new Set<GPUBuffer>()
          for (const [size, take] of steps) {
            if (take) {
              const buffer = staging.take(size)
              expect(taken.has(buffer)).toBe(false)
              expect(live.has(buffer)).toBe(true)
              expect(buffer.size).toBeGreaterThanOrEqual(size)
              taken.add(buffer)
            } else {
              const [first] = taken
              if (!first) continue
              taken.delete(first)
              staging.giveBack(first)
            }
            expect(bytes(live) - bytes(taken)).toBeLessThanOrEqual(8 << 20)
          }
          staging.clear()
          expect(live).toEqual(taken)
        },
      ),
    )
  })

  test('that are larger have no size class, which may be more than an adapter gives, and are destroyed', () => {
    const { live, staging } = counted()
    const buffer = staging.take(2 ** 31 - 4)
    expect(buffer.size).toBe(2 ** 31 - 4)
    staging.giveBack(buffer)
    expect(live.size).toBe(0)
  })
})

test('reading again makes no buffer, reading at once makes one each, and memory does not count them', async () => {
  const device = await testDevice()
  const tensors = Array.from({ length: 20 }, (_, k) => tensor(device, Float32Array.of(k, k + 1)))
  device.trim()
  const before = device.memory
  const createBuffer = vi.spyOn(device.handle, 'createBuffer')
  const read = async (tensors: readonly Tensor[]) => {
    createBuffer.mockClear()
    const values = await Promise.all(tensors.map((x) => x.read()))
    for (const [k, v] of values.entries()) expect([...v]).toEqual([k, k + 1])
    return createBuffer.mock.calls.length
  }
  try {
    await read(tensors.slice(0, 1))
    expect(await read(tensors.slice(0, 1))).toBe(0)
    expect(await read(tensors)).toBe(19)
    expect(await read(tensors)).toBe(0)
    expect(device.memory).toEqual(before)
    device.trim()
    expect(await read(tensors.slice(0, 1))).toBe(1)
  } finally {
    createBuffer.mockRestore()
    for (const x of tensors) x.dispose()
  }
})

test('a read that cannot be recorded leaves no buffer behind', async () => {
  const device = await openDevice()
  const live = new Set<GPUBuffer>()
  let made = 0
  const createBuffer = device.handle.createBuffer.bind(device.handle)
  device.handle.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor)
    if ((descriptor.usage & BufferUsage.MapRead) === 0) return buffer
    made++
    live.add(buffer)
    const destroy = buffer.destroy.bind(buffer)
    buffer.destroy = () => {
      live.delete(buffer)
      destroy()
    }
    return buffer
  }
  let planned: GpuBuffer | undefined
  device.rehearse(() => {
    planned = device.alloc(16)
  })
  await expect(device.read(planned!, 16)).rejects.toThrow(/memory plan/)
  expect(live.size).toBe(0)
  // The copy fills a batch, which cannot be submitted.
  const x = tensor(device, [1, 2])
  for (let i = 1; i < 255; i++) device.clear(x.buffer, 4)
  device.handle.createCommandEncoder = () => {
    throw new Error('no more memory')
  }
  await expect(x.read()).rejects.toThrow(/no more memory/)
  expect([made, live.size]).toEqual([1, 0])
  device.destroy()
})

test('a read under way when its device is destroyed fails, and so do later ones', async () => {
  const device = await openDevice()
  const x = tensor(device, [1, 2])
  expect([...(await x.read())]).toEqual([1, 2])
  const reads = [x.read(), x.read()]
  device.destroy()
  for (const read of reads) await expect(read).rejects.toThrow(/was destroyed/)
  await expect(x.read()).rejects.toThrow(/was destroyed/)
  x.dispose()
})
