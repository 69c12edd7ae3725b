import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { alphasCumprod, ddimSteps } from '../../src/ld3m/index.ts'

describe('the noise schedule', () => {
  test("has latent diffusion's values", () => {
    expect(alphasCumprod[0]).toBeCloseTo(0.9985, 4)
    expect(alphasCumprod[999]).toBeCloseTo(1.423e-4, 7)
  })

  test('gives ten steps the timesteps, ᾱ and residual weights of the original code', () => {
    const steps = ddimSteps(10)
    expect(steps.map((s) => s.timestep)).toEqual([901, 801, 701, 601, 501, 401, 301, 201, 101, 1])
    const expected = [0.00086, 0.00412, 0.01548, 0.0465, 0.114, 0.23298, 0.40522, 0.61244, 0.82115, 0.99699]
    steps.forEach((s, i) => {
      expect(s.alphaBar).toBeCloseTo(expected[i] as number, 5)
    })
    expect(steps.at(-1)?.alphaBarPrev).toBeCloseTo(0.9985, 4)
    expect(steps.map((s) => Number(s.residualWeight.toFixed(3)))).toEqual([
      1, 0.889, 0.778, 0.667, 0.556, 0.444, 0.333, 0.222, 0.111, 0,
    ])
  })

  test('runs exactly as many steps as asked for, each noisier than the next', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (n) => {
        const steps = ddimSteps(n)
        const inRange = steps.every(
          ({ timestep: t, residualWeight: w }) => Number.isInteger(t) && t >= 0 && t < 1000 && w >= 0 && w <= 1,
        )
        const falling = steps.every((s, i) => i === 0 || s.timestep < (steps[i - 1]?.timestep as number))
        return steps.length === n && inRange && falling
      }),
    )
  })

  test('adds no noise at eta 0, and more with eta', () => {
    expect(ddimSteps(10, 0).every((s) => s.sigma === 0)).toBe(true)
    const [half, full] = [ddimSteps(10, 0.5), ddimSteps(10, 1)]
    half.forEach((s, i) => {
      expect(full[i]?.sigma).toBeCloseTo(2 * s.sigma, 12)
    })
  })

  test.each([0, -1, 1001, 2.5, Number.NaN])('refuses %s steps', (n) => {
    expect(() => ddimSteps(n)).toThrow(/1 to 1000/)
  })
})
