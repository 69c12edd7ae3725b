import { beforeAll, expect, test } from 'vitest'
import { DerivedBuffers } from '../../src/gpu/derived.ts'
import type { Device } from '../../src/gpu/index.ts'
import { conv2d } from '../../src/kernels/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

test('a derived buffer is kept until its source is written to, by whatever command', () => {
  const source = device.alloc(256)
  const other = device.alloc(256)
  let made = 0
  const derive = () =>
    device.derive(source, 'copy', () => {
      made++
      return device.alloc(256)
    })
  const first = derive()
  expect(derive()).toBe(first)
  expect(made).toBe(1)
  const writes = [
    () => device.upload(source, new Float32Array(4)),
    () => device.clear(source, 16),
    () => device.copy(other, 0, source, 0, 16),
  ]
  for (const [i, write] of writes.entries()) {
    write()
    derive()
    derive()
    expect(made).toBe(2 + i)
  }
  device.copy(source, 0, other, 0, 16)
  derive()
  expect(made).toBe(4)
  device.release(source)
  device.release(other)
})

test('a derived buffer goes with its source', () => {
  const before = device.memory.current
  const source = device.alloc(256)
  device.derive(source, 'a', () => device.alloc(1024))
  device.derive(source, 'b', () => device.alloc(2048))
  expect(device.memory.current - before).toBe(256 + 1024 + 2048)
  device.release(source)
  expect(device.memory.current).toBe(before)
})

test('a device keeps as many bytes of derived buffers as it is told', async () => {
  const own = await openDevice({ derivedBytes: 2048 })
  const source = own.alloc(256)
  const made: string[] = []
  const derive = (key: string) =>
    own.derive(source, key, () => {
      made.push(key)
      return own.alloc(1024)
    })
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) derive(key)
  expect(made).toEqual(['a', 'b', 'c', 'b'])
  own.destroy()
})

test('trimming drops derived buffers', () => {
  const source = device.alloc(256)
  const before = device.memory.current
  device.derive(source, 'a', () => device.alloc(1024))
  device.trim()
  expect(device.memory.current).toBe(before)
  device.release(source)
})

test('beyond the budget, the buffers not used for longest go; one that is too large for it is kept alone', () => {
  const released: number[] = []
  const cache = new DerivedBuffers(3000, (buffer) => {
    released.push(buffer.bytes)
    device.release(buffer)
  })
  const sources = Array.from({ length: 4 }, () => device.alloc(256))
  const make = (i: number, bytes: number) => cache.get(sources[i]!, 'x', () => device.alloc(bytes))
  make(0, 1024)
  make(1, 1280)
  make(0, 1024)
  make(2, 1536)
  expect(released).toEqual([1280])
  make(3, 4096)
  expect(released).toEqual([1280, 1024, 1536])
  for (const source of sources) {
    cache.forget(source)
    device.release(source)
  }
  expect(released).toEqual([1280, 1024, 1536, 4096])
})

test('a convolution sees its weights change', async () => {
  const sizes = { n: 1, c: 1, h: 1, w: 1, o: 1, ho: 1, wo: 1, kh: 1, kw: 1, stride: 1, top: 0, left: 0 }
  const [x, weight] = [device.alloc(4), device.alloc(4)]
  device.upload(x, Float32Array.of(2))
  const results: number[] = []
  for (const w of [3, 3, 5]) {
    device.upload(weight, Float32Array.of(w))
    const out = conv2d(device, x, weight, sizes)
    results.push(new Float32Array(await device.read(out, 4))[0]!)
    device.release(out)
  }
  expect(results).toEqual([6, 6, 10])
  device.release(x)
  device.release(weight)
})
