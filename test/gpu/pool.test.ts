import { expect, test } from 'vitest'
import { BufferPool } from '../../src/gpu/pool.ts'

/** A pool on an adapter that binds so many bytes. */
const poolThatBinds = (bytes: number) =>
  new BufferPool(
    {
      limits: { maxStorageBufferBindingSize: bytes, maxBufferSize: 2 ** 40 },
      createBuffer: (descriptor: GPUBufferDescriptor) => descriptor,
    } as unknown as GPUDevice,
    0,
  )

test('a buffer may be as large as the adapter binds, where that is no size class', () => {
  // As on NVIDIA: 2 GiB but for 4 bytes.
  const limit = 2 ** 31 - 4
  const pool = poolThatBinds(limit)
  for (const bytes of [1_900_000_000, limit]) {
    const buffer = pool.alloc(bytes)
    expect(buffer.handle.size).toBe(limit)
    pool.release(buffer)
  }
  expect(() => pool.alloc(limit + 1)).toThrow(
    expect.objectContaining({ code: 'memory', message: expect.stringContaining(`at most ${limit} bytes`) }),
  )
  expect(pool.memory.current).toBe(0)
})

test('a limit that is not of whole words is rounded down', () => {
  expect(poolThatBinds(2 ** 31 - 1).alloc(1_900_000_000).handle.size).toBe(2 ** 31 - 4)
})
