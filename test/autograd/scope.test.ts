import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { keep, noGrad, ops, scope, type Tensor, tensor, tensorsIn } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
let before: number
beforeAll(async () => {
  device = await testDevice()
})
beforeEach(() => {
  before = device.memory.current
})

const number = (value: number) => tensor(device, [value])

describe('scope', () => {
  test('disposes all that was created in it', () => {
    let inside: Tensor | undefined
    scope(() => {
      inside = ops.exp(ops.add(number(1), number(2)))
    })
    expect(inside?.disposed).toBe(true)
    expect(device.memory.current).toBe(before)
  })

  test('lets its result pass outward: a tensor, or a tree of them', async () => {
    const result = scope(() => {
      number(0)
      return { a: number(1), list: [number(2), { deep: number(3) }], map: new Map([['k', number(4)]]), n: 5 }
    })
    const tensors = [...tensorsIn(result)]
    expect(await Promise.all(tensors.map((t) => t.item()))).toEqual([1, 2, 3, 4])
    for (const t of tensors) t.dispose()
    expect(device.memory.current).toBe(before)
  })

  test('hands its result to the scope around it', () => {
    scope(() => {
      const inner = scope(() => number(1))
      expect(inner.disposed).toBe(false)
    })
    expect(device.memory.current).toBe(before)
  })

  test('does not touch tensors from outside, not even as its result', () => {
    const outer = number(1)
    scope(() => {
      const same = scope(() => outer)
      expect(same).toBe(outer)
    })
    expect(outer.disposed).toBe(false)
    outer.dispose()
  })

  test('disposes when the body throws', () => {
    expect(() =>
      scope(() => {
        number(1)
        throw new Error('on purpose')
      }),
    ).toThrow('on purpose')
    expect(device.memory.current).toBe(before)
  })

  test('refuses a body that returns a promise', () => {
    expect(() => scope(async () => number(1))).toThrow(/returned a promise/)
    expect(device.memory.current).toBe(before)
  })

  test('drops what such a body throws later', async () => {
    const unhandled: unknown[] = []
    const listener = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', listener)
    for (const run of [scope, noGrad]) {
      expect(() => run(async () => Promise.reject(new Error('on purpose')))).toThrow(/returned a promise/)
    }
    await new Promise((resolve) => setTimeout(resolve))
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })

  test('is outlived by what is kept', () => {
    const kept = scope(() => {
      const t = keep(number(1))
      return { get: () => t }
    }).get()
    expect(kept.disposed).toBe(false)
    kept.dispose()
    expect(device.memory.current).toBe(before)
  })
})

describe('a disposed tensor', () => {
  test('is an error to use, and harmless to dispose again', async () => {
    const x = number(1)
    x.dispose()
    x.dispose()
    expect(() => ops.exp(x)).toThrow(expect.objectContaining({ code: 'graph' }))
    await expect(x.read()).rejects.toThrow(/was used after it was disposed/)
    expect(device.memory.current).toBe(before)
  })

  test('leaves its memory to aliases', async () => {
    const x = number(7)
    const alias = x.alias()
    x.dispose()
    expect(await alias.item()).toBe(7)
    alias.dispose()
    expect(device.memory.current).toBe(before)
  })
})

describe('tensor', () => {
  test('checks its data against the shape and type', () => {
    expect(() => tensor(device, [1, 2, 3], { shape: [2, 2] })).toThrow(/has 4 elements; the data has 3/)
    expect(() => tensor(device, [1], { shape: [-1, -1] })).toThrow(/is not a shape/)
    expect(() => tensor(device, new Float32Array(1), { dtype: 'i32' })).toThrow(/Float32Array; the tensor is i32/)
    expect(() => scope(() => number(1).write(new Float32Array(2)))).toThrow(expect.objectContaining({ code: 'shape' }))
    expect(() => scope(() => tensor(device, Int32Array.of(1)).leaf())).toThrow(/must be f32/)
  })

  test('holds integers exactly', async () => {
    const x = tensor(device, Int32Array.of(-5, 16_777_215))
    expect([...(await x.read())]).toEqual([-5, 16_777_215])
    x.dispose()
  })

  test('item wants one element', async () => {
    const x = tensor(device, [1, 2])
    await expect(x.item()).rejects.toThrow(/needs one element/)
    x.dispose()
  })
})
