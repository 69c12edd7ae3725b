import { describe, expect, test } from 'vitest'
import { HostRandom, random } from '../../src/autograd/index.ts'
import { testDevice } from '../support/device.ts'

const hex = (words: readonly number[]) => words.map((w) => w.toString(16).padStart(8, '0')).join(' ')

describe('Philox4x32-10', () => {
  // The known answers of the Random123 distribution (kat_vectors).
  test.each([
    [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ] as const)('gives the published words for counter %j', (counter, key, expected) => {
    expect(hex(random.philox4x32(counter, key))).toBe(expected)
  })
})

const key = { seed: 0x89abcdef, stream: 3 }

describe('on the device', () => {
  test.each([1, 3, 4, 1023])('%i uniform numbers equal those of the host exactly', async (count) => {
    const x = random.uniform(await testDevice(), [count], key)
    expect([...(await x.read())]).toEqual([...random.uniformReference(key, count)])
    x.dispose()
  })

  test('a uniform range of powers of two is exact too', async () => {
    const x = random.uniform(await testDevice(), [64], key, { low: -2, high: 2 })
    expect([...(await x.read())]).toEqual([...random.uniformReference(key, 64)].map((u) => -2 + 4 * u))
    x.dispose()
  })

  test('normal numbers equal those of the host to 2e-6', async () => {
    // Among a million are radii near 0 and near the largest, where built-in logarithms and cosines lose digits.
    const count = 2 ** 20 + 1
    const x = random.normal(await testDevice(), [count], key)
    const actual = await x.read()
    x.dispose()
    const expected = random.normalReference(key, count)
    let worst = 0
    for (let i = 0; i < count; i++) worst = Math.max(worst, Math.abs(actual[i]! - expected[i]!))
    expect(worst).toBeLessThan(2e-6)
  })

  test('mean and standard deviation are applied', async () => {
    const x = random.normal(await testDevice(), [7, 3], key, { mean: 5, std: 0.5 })
    const data = await x.read()
    x.dispose()
    const expected = random.normalReference(key, 21).map((z) => 5 + 0.5 * z)
    data.forEach((v, i) => {
      expect(v).toBeCloseTo(expected[i]!, 5)
    })
  })

  test('uniform numbers stay below the upper bound, where rounding would reach it', async () => {
    const device = await testDevice()
    for (const [low, high] of [
      [1000, 1001],
      [-3, 0],
      [-1001, -1000],
      [0, 0.1],
    ] as const) {
      const x = random.uniform(device, [2 ** 20], key, { low, high })
      const data = await x.read()
      x.dispose()
      expect(data.every((v) => v >= Math.fround(low) && v < high)).toBe(true)
    }
    const x = random.uniform(device, [2], key, { low: 3, high: 3 })
    expect([...(await x.read())]).toEqual([3, 3])
    x.dispose()
  })

  test('a bound, a mean or a deviation that is no number is an error', async () => {
    const device = await testDevice()
    expect(() => random.uniform(device, [1], key, { low: Number.NaN })).toThrow('uniform: low is NaN.')
    expect(() => random.uniform(device, [1], key, { low: 2, high: 1 })).toThrow('uniform: low is 2, high is 1.')
    expect(() => random.normal(device, [1], key, { mean: Number.NaN })).toThrow('normal: mean is NaN.')
    expect(() => random.normal(device, [1], key, { std: Number.POSITIVE_INFINITY })).toThrow('std is Infinity.')
  })

  test('a shape without elements gives none', async () => {
    const x = random.normal(await testDevice(), [0, 3], key)
    expect(await x.read()).toHaveLength(0)
    x.dispose()
  })

  test('of a seed alone are those of stream 0, on the device and on the host', async () => {
    const device = await testDevice()
    for (const draw of [random.uniform, random.normal]) {
      const [alone, zero] = [draw(device, [5], { seed: 7 }), draw(device, [5], { seed: 7, stream: 0 })]
      expect(await alone.read()).toEqual(await zero.read())
      for (const t of [alone, zero]) t.dispose()
    }
    expect(random.uniformReference({ seed: 7 }, 5)).toEqual(random.uniformReference({ seed: 7, stream: 0 }, 5))
    expect(random.fork({ seed: 7 }, 'part')).toEqual(random.fork({ seed: 7, stream: 0 }, 'part'))
    expect(new HostRandom({ seed: 7 }).normal()).toBe(new HostRandom({ seed: 7, stream: 0 }).normal())
  })

  test('a key that is not made of 32-bit integers is an error', async () => {
    const device = await testDevice()
    expect(() => random.uniform(device, [1], { seed: -1, stream: 0 })).toThrow(/seed is -1/)
    expect(() => random.normal(device, [1], { seed: 0, stream: 2 ** 32 })).toThrow(/stream is 4294967296/)
    expect(() => random.normal(device, [1], key, { sd: 2 } as object)).toThrow(/unknown option 'sd'/)
  })
})

describe('the distributions', () => {
  const count = 100_000
  const moments = (x: Float64Array) => {
    const mean = x.reduce((a, b) => a + b) / x.length
    const moment = (k: number) => x.reduce((a, b) => a + (b - mean) ** k, 0) / x.length
    return { mean, variance: moment(2), fourth: moment(4) }
  }

  // Bounds are five standard errors of each estimate.
  test('uniform has mean 1/2 and variance 1/12', () => {
    const { mean, variance } = moments(random.uniformReference(key, count))
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count))
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(5 * Math.sqrt((1 / 80 - 1 / 144) / count))
  })

  test('normal has mean 0, variance 1 and fourth moment 3', () => {
    const { mean, variance, fourth } = moments(random.normalReference(key, count))
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(1 / count))
    expect(Math.abs(variance - 1)).toBeLessThan(5 * Math.sqrt(2 / count))
    expect(Math.abs(fourth - 3)).toBeLessThan(5 * Math.sqrt(96 / count))
  })

  test('streams and seeds of neighbouring numbers do not correlate', () => {
    const a = random.normalReference({ seed: 1, stream: 0 }, count)
    for (const other of [
      { seed: 1, stream: 1 },
      { seed: 2, stream: 0 },
    ]) {
      const b = random.normalReference(other, count)
      const correlation = a.reduce((sum, v, i) => sum + v * b[i]!, 0) / count
      expect(Math.abs(correlation)).toBeLessThan(5 / Math.sqrt(count))
    }
  })
})

describe('HostRandom', () => {
  test('draws the device’s numbers in order', () => {
    const uniform = new HostRandom(key)
    expect(Array.from({ length: 9 }, () => uniform.uniform())).toEqual([...random.uniformReference(key, 9)])
    const normal = new HostRandom(key)
    expect(Array.from({ length: 9 }, () => normal.normal())).toEqual([...random.normalReference(key, 9)])
  })

  test('mixing kinds of draws never uses a word twice', () => {
    const draws = new HostRandom(key)
    const first = draws.uniform()
    const [z0, u, z1] = [draws.normal(), draws.uniform(), draws.normal()]
    const uniforms = random.uniformReference(key, 12)
    const normals = random.normalReference(key, 12)
    // Word 1 is left out, since pairs begin at even words; so is word 5.
    expect([first, z0, u, z1]).toEqual([uniforms[0], normals[2], uniforms[4], normals[6]])
  })

  test('integers cover their range evenly', () => {
    const draws = new HostRandom(key)
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) counts[draws.integer(7)]!++
    for (const n of counts) expect(Math.abs(n - 10_000)).toBeLessThan(5 * Math.sqrt(10_000))
    expect(draws.integer(1)).toBe(0)
    expect(draws.integer(2 ** 32)).toBeLessThan(2 ** 32)
    expect(() => draws.integer(0)).toThrow(/below is 0/)
  })

  test('shuffle is a permutation, and every position is equally likely', () => {
    const draws = new HostRandom(key)
    expect([...draws.shuffle(50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    const places = new Array<number>(4).fill(0)
    for (let i = 0; i < 40_000; i++) places[draws.shuffle(4).indexOf(0)]!++
    for (const n of places) expect(Math.abs(n - 10_000)).toBeLessThan(5 * Math.sqrt(10_000))
    expect(draws.shuffle(0)).toHaveLength(0)
  })

  test('choice picks among the items', () => {
    const draws = new HostRandom(key)
    expect(new Set(Array.from({ length: 100 }, () => draws.choice(['a', 'b', 'c'])))).toEqual(new Set(['a', 'b', 'c']))
    expect(() => draws.choice([])).toThrow(/empty/)
  })

  test('forks are independent of each other, of their parent and of its draws', () => {
    const parent = new HostRandom(key)
    const before = parent.fork('noise').uniform()
    parent.uniform()
    expect(parent.fork('noise').uniform()).toBe(before)
    const firsts = ['noise', 'labels', 0, 1, 2 ** 40].map((part) => parent.fork(part).uniform())
    expect(new Set([...firsts, new HostRandom(key).uniform()]).size).toBe(6)
    expect(() => parent.fork(-1)).toThrow(/part is -1/)
  })
})
