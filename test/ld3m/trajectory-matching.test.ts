import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { HostRandom, noGrad, planMemory, random, scope, type Tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { type MttOptions, mtt } from '../../src/ld3m/index.ts'
import { convNet, type Student } from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { CLASSES, goldenExperts, matchingContext, runContext, student } from '../support/matching.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

interface Case {
  readonly imagesPerClass: number
  readonly steps: number
  readonly batch: number
  readonly alpha: number
  readonly distance: number
  readonly seed: number
}

/** Images and draws follow from the case. */
async function match(c: Case, more: Partial<MttOptions>) {
  const context = runContext(device, c.imagesPerClass)
  const objective = mtt({
    experts: await goldenExperts(device, c.distance),
    ...{ studentSteps: c.steps, expertEpochs: 1, maxStartEpoch: 1, studentLearningRate: c.alpha, batch: c.batch },
    ...more,
  })
  const matcher = objective.start(context)
  await matcher.prepare?.(0)
  const images: Tensor = scope(() =>
    noGrad(() => random.normal(device, [CLASSES * c.imagesPerClass, 2, 8, 8], { seed: c.seed, stream: 0 })),
  )
  const draws = new HostRandom({ seed: c.seed, stream: 1 })
  const matched = scope(() =>
    matcher.match(
      matchingContext(context, { images, random: draws, augmentation: ['color', 'crop', 'flip', 'scale'] }),
    ),
  )
  const { loss, gradient, own } = matched
  const alpha = own?.learningRate as Tensor
  const values = { loss: await loss.item(), gradient: await gradient.read(), alpha: await alpha.item() }
  for (const t of [loss, gradient, alpha, images]) t.dispose()
  matcher.dispose()
  return values
}

const cases = (steps: { min: number; max: number }): fc.Arbitrary<Case> =>
  fc.record({
    imagesPerClass: fc.integer({ min: 1, max: 3 }),
    steps: fc.integer(steps),
    batch: fc.integer({ min: 1, max: 9 }),
    alpha: fc.constantFrom(0.01, 0.1),
    distance: fc.constantFrom(0.02, 0.2),
    seed: fc.integer({ min: 0, max: 1000 }),
  })

/** ‖a − b‖ / ‖b‖. */
function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [difference, size] = [0, 1].map((which) =>
    Math.hypot(...Array.from(b, (v, i) => (which === 0 ? a[i]! - v : v))),
  ) as [number, number]
  return difference / size
}

describe('the two ways to differentiate trajectory matching', () => {
  test('give the same loss and, for a single step, the same gradients', async () => {
    await fc.assert(
      fc.asyncProperty(cases({ min: 1, max: 1 }), async (c) => {
        const [exact, constant] = [await match(c, {}), await match(c, { differentiation: 'constant' })]
        expect(constant.loss).toBe(exact.loss)
        expect(apart(constant.gradient, exact.gradient)).toBeLessThan(1e-5)
        expect(apart([constant.alpha], [exact.alpha])).toBeLessThan(1e-5)
      }),
      { numRuns: 8 },
    )
  })

  test('differ over several steps by what passes through later gradients, which falls with the rate', async () => {
    await fc.assert(
      fc.asyncProperty(cases({ min: 2, max: 4 }), async (c) => {
        const differenceAt = async (alpha: number) => {
          const at = { ...c, alpha }
          const [exact, constant] = [await match(at, {}), await match(at, { differentiation: 'constant' })]
          expect(constant.loss).toBe(exact.loss)
          return apart(constant.gradient, exact.gradient)
        }
        const [large, small] = [await differenceAt(1e-1), await differenceAt(1e-3)]
        expect(large).toBeGreaterThan(1e-4)
        expect(small).toBeLessThan(large / 10)
      }),
      { numRuns: 6 },
    )
  })

  test('exact is the same bit for bit whether graphs are kept or made again', async () => {
    await fc.assert(
      fc.asyncProperty(cases({ min: 1, max: 4 }), async (c) => {
        expect(await match(c, { keepGraphs: true })).toEqual(await match(c, {}))
      }),
      { numRuns: 6 },
    )
  })
})

describe('memory of trajectory matching, by plan', () => {
  const wide = convNet({ channels: 2, size: 8, classes: CLASSES, depth: 2, width: 32 })

  const peak = async (studentSteps: number, more: Partial<MttOptions>, of: Student = wide): Promise<number> => {
    const context = runContext(device, 10, of)
    const experts = await goldenExperts(device, 0.05, of)
    const objective = mtt({ experts, studentSteps, expertEpochs: 1, maxStartEpoch: 1, ...more })
    return planMemory(device, () => {
      const matcher = objective.start(context)
      matcher.rehearse?.()
      scope(() => matcher.match(matchingContext(context)))
      matcher.dispose()
    }).peakBytes
  }
  const parameterBytes = Object.values(wide.parameters).reduce(
    (n, { shape }) => n + 4 * shape.reduce((a, b) => a * b),
    0,
  )

  test('does not grow with the steps in constant memory', async () => {
    // The sum of the steps' gradients is a chain that waits for six of them.
    const [few, many] = [
      await peak(8, { differentiation: 'constant' }),
      await peak(40, { differentiation: 'constant' }),
    ]
    expect(many).toBe(few)
  })

  test('grows by little more than the parameters with each step that is computed again, by whole graphs where they are kept', async () => {
    const growth = async (more: Partial<MttOptions>) => ((await peak(24, more)) - (await peak(4, more))) / 20
    const recomputed = await growth({})
    expect(recomputed).toBeGreaterThan(0.9 * parameterBytes)
    // With the weights of a convolution live its packed forms, one forward and one backward.
    expect(recomputed).toBeLessThan(3.5 * parameterBytes)
    expect(await growth({ keepGraphs: true })).toBeGreaterThan(5 * recomputed)
  })

  test('is given back, and a plan leaves nothing', async () => {
    const before = device.memory.current
    await match({ imagesPerClass: 2, steps: 3, batch: 4, alpha: 0.1, distance: 0.1, seed: 1 }, {})
    await match(
      { imagesPerClass: 2, steps: 3, batch: 4, alpha: 0.1, distance: 0.1, seed: 1 },
      { differentiation: 'constant' },
    )
    await peak(3, {}, student)
    expect(device.memory.current).toBe(before)
  })
})
