import { beforeAll, describe, expect, test } from 'vitest'
import { HostRandom, scope, type Tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { type DcLoops, dc, dm, type Matched, type MttOptions, mtt } from '../../src/ld3m/index.ts'
import { disposeState, Params, readStateDict, type Student } from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { goldenState, readGolden, valuesTensor } from '../support/golden.ts'
import { goldenExperts, matchingContext, runContext, student } from '../support/matching.ts'

interface MatchedGolden {
  readonly loss: number
  readonly gradient: readonly number[]
  readonly learningRateGradient?: number
}

/** By PyTorch in float64. */
interface Goldens {
  readonly orders: readonly (readonly number[])[]
  readonly trajectories: Readonly<Record<string, MatchedGolden>>
  readonly innerLoop: MatchedGolden
  readonly distribution: MatchedGolden
}

let device: Device
const golden = readGolden<Goldens>('objectives.json')
beforeAll(async () => {
  device = await testDevice()
})

async function read({ loss, gradient, own }: Matched) {
  const values = { loss: await loss.item(), gradient: await gradient.read(), alpha: await own?.learningRate?.item() }
  for (const t of [loss, gradient, ...Object.values(own ?? {})]) t.dispose()
  return values
}

async function expectMatched(matched: Matched, expected: MatchedGolden) {
  const { loss, gradient, alpha } = await read(matched)
  expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(1e-4)
  const largest = Math.max(...expected.gradient.map(Math.abs))
  const share = (values: ArrayLike<number>) => Array.from(values, (v) => v / largest)
  expectClose(share(gradient), share(expected.gradient), 1e-3, 'gradient')
  if (expected.learningRateGradient !== undefined) {
    expect(Math.abs((alpha as number) / expected.learningRateGradient - 1)).toBeLessThan(1e-3)
  }
}

test("the goldens' orders of images are those that a run draws", () => {
  const random = new HostRandom({ seed: 11, stream: 0 })
  for (const order of golden.orders) expect([...random.shuffle(6)]).toEqual(order)
})

describe('trajectory matching', () => {
  const mttOf = async (more: Partial<MttOptions>) =>
    mtt({
      experts: await goldenExperts(device),
      ...{ studentSteps: 4, expertEpochs: 1, maxStartEpoch: 1, studentLearningRate: 0.05 },
      ...more,
    })

  async function match(more: Partial<MttOptions>): Promise<Matched> {
    const context = runContext(device, 2)
    const matcher = (await mttOf(more)).start(context)
    await matcher.prepare?.(0)
    const matched = scope(() => matcher.match(matchingContext(context)))
    matcher.dispose()
    return matched
  }

  test.each<[string, Partial<MttOptions>]>([
    ['exact, whole set', {}],
    ['exact, whole set', { keepGraphs: true }],
    ['exact, mini-batches', { studentSteps: 3, batch: 4 }],
    ['constant, whole set', { differentiation: 'constant' }],
    ['constant, mini-batches', { differentiation: 'constant', studentSteps: 3, batch: 4 }],
  ])('%s: has the loss and the gradients of PyTorch: %j', async (name, more) => {
    await expectMatched(await match(more), golden.trajectories[name]!)
  })

  test("loses a factor of 2 of the images' gradient, and not of the rate's, where the original's fault is asked for", async () => {
    const right = await read(await match({ differentiation: 'constant' }))
    const half = await read(await match({ differentiation: 'constant', legacy: ['half-gradient'] }))
    expect(half.gradient).toEqual(right.gradient.map((v) => v / 2))
    expect(half.alpha).toBe(right.alpha)
    expect(half.loss).toBe(right.loss)
  })

  test("learns the student's rate by SGD with momentum, and keeps it positive", async () => {
    const matcher = (await mttOf({ learnStudentLearningRate: 0.001 })).start(runContext(device, 2))
    const update = (gradient: number) =>
      scope(() => matcher.update?.({ learningRate: valuesTensor(device, 0, [1], gradient, gradient) }))
    update(4)
    expect((await matcher.learned?.())?.studentLearningRate).toBeCloseTo(0.05 - 0.001 * 4, 7)
    update(3)
    expect((await matcher.learned?.())?.studentLearningRate).toBeCloseTo(0.05 - 0.001 * 4 - 0.001 * (0.5 * 4 + 3), 7)
    update(1000)
    expect((await matcher.learned?.())?.studentLearningRate).toBeCloseTo(0.05 / 1000, 9)
    matcher.dispose()
  })

  test('goes through all experts before it takes one again, from any of the allowed epochs', async () => {
    const one = await goldenExperts(device)
    const taken: [number, number][] = []
    const experts = {
      manifest: { ...one.manifest, training: { ...one.manifest.training, epochs: 5 } },
      count: 4,
      snapshot: (expert: number, epoch: number) => {
        taken.push([expert, epoch])
        return one.snapshot(expert, epoch)
      },
    }
    const matcher = mtt({ experts, expertEpochs: 2, maxStartEpoch: 3 }).start(runContext(device, 2))
    for (let i = 0; i < 40; i++) await matcher.prepare?.(i)
    matcher.dispose()
    const starts = taken.filter((_, i) => i % 2 === 0)
    for (let round = 0; round < 10; round++) {
      expect(new Set(starts.slice(4 * round, 4 * round + 4).map(([expert]) => expert)).size).toBe(4)
    }
    expect(new Set(starts.map(([, epoch]) => epoch))).toEqual(new Set([0, 1, 2]))
    for (const [i, [expert, epoch]] of starts.entries()) expect(taken[2 * i + 1]).toEqual([expert, epoch + 2])
  })

  test.each<[string, Partial<MttOptions>, RegExp]>([
    ['more epochs than there are', { expertEpochs: 2 }, /has 1 epoch\b.*asks for 2/],
    ['no steps', { studentSteps: 0 }, /studentSteps is 0/],
    ['a rate of zero', { studentLearningRate: 0 }, /studentLearningRate is 0/],
    ['an unknown form', { differentiation: 'tesla' as 'exact' }, /differentiation is 'tesla'.*exact, constant/],
    ['graphs in constant memory', { differentiation: 'constant', keepGraphs: true }, /keepGraphs does not go with/],
    ['a fault of the other form', { legacy: ['half-gradient'] }, /legacy does not go with/],
    ['an unknown option', { steps: 3 } as object, /unknown option 'steps'/],
  ])('refuses %s', async (_, more, message) => {
    await expect(mttOf(more)).rejects.toThrow(message)
  })

  test('refuses experts of another student, normalisation or order of classes', async () => {
    const experts = await goldenExperts(device)
    const objective = mtt({ experts, expertEpochs: 1, maxStartEpoch: 1 })
    const context = runContext(device, 2)
    expect(() => objective.start({ ...context, normalization: { mean: [0, 0], std: [1, 2] } })).toThrow(
      /normalised by mean 0, 0 and std 1, 1; the dataset has mean 0, 0 and std 1, 2/,
    )
    const manifest = { ...experts.manifest, student: { ...experts.manifest.student, parameters: {} } }
    expect(() => mtt({ experts: { ...experts, manifest }, expertEpochs: 1, maxStartEpoch: 1 }).start(context)).toThrow(
      /features.0.weight of their ConvNet-2 is missing, of the student ConvNet-2 it is \[4, 2, 3, 3\]/,
    )
    expect(() => objective.start({ ...context, classNames: ['a', 'c', 'b'] })).toThrow(
      /class 1 is 'c', for the experts it was 'b'/,
    )
    // Files without names: their labels stand for any.
    objective.start({ ...context, classNames: ['0', '1', '2'] }).dispose()
  })
})

describe('gradient matching', () => {
  const loops: DcLoops = { outer: 2, inner: 3 }

  test.each([1, 2, 256])(
    'between outer iterations trains the network on the synthetic set, then matches, as PyTorch: real images by %i',
    async (microBatch) => {
      const context = runContext(device, 2)
      const matcher = dc({ loops, networkLearningRate: 0.1, networkBatch: 4, microBatch }).start(context)
      const state = goldenState(device, student, 400)
      matcher.restore(await readStateDict(state))
      disposeState(state)
      const matched = scope(() => matcher.match(matchingContext(context, { iteration: 1 })))
      await expectMatched(matched, golden.innerLoop)
      // What it was trained to serves no later iteration; what was restored is there until this one is accepted.
      expect(matcher.state()).not.toEqual({})
      matcher.update?.({})
      expect(matcher.state()).toEqual({})
      matcher.dispose()
    },
  )

  test('keeps a network for as many iterations as the outer loop has, and then takes a fresh one', async () => {
    const context = runContext(device, 2)
    const before = device.memory.current
    const matcher = dc({ loops: { outer: 3, inner: 1 } }).start(context)
    const states: Record<string, { data: Float32Array }>[] = []
    for (let iteration = 0; iteration < 4; iteration++) {
      const match = async () => {
        const { loss, gradient } = scope(() => matcher.match(matchingContext(context, { iteration })))
        const values = await gradient.read()
        for (const t of [loss, gradient]) t.dispose()
        return values
      }
      // An iteration that was not accepted leaves nothing behind.
      expect(await match()).toEqual(await match())
      matcher.update?.({})
      states.push(await readStateDict(matcher.state()))
    }
    const weights = states.map((s) => s['classifier.weight']?.data)
    expect(weights.map((w) => w !== undefined)).toEqual([true, true, false, true])
    expect(weights[1]).not.toEqual(weights[0])
    // The same draws made both fresh networks.
    expect(weights[3]).toEqual(weights[0])
    matcher.dispose()
    expect(device.memory.current).toBe(before)
  })

  test("has the published loops of Zhao et al. for their images a class, and asks for others' own", () => {
    const start = (imagesPerClass: number) => dc({ loops: 'published' }).start(runContext(device, imagesPerClass))
    for (const imagesPerClass of [1, 10, 20, 30, 40, 50]) expect(() => start(imagesPerClass).dispose()).not.toThrow()
    expect(() => start(7)).toThrow(/no loops are published for 7 images a class.*loops: { outer, inner }/)
    expect(() => dc({ loops: { outer: 0, inner: 1 } }).start(runContext(device, 1))).toThrow(/loops.outer is 0/)
  })
})

describe('distribution matching', () => {
  test.each([1, 2, 256])(
    'has the loss and the gradient of PyTorch, with classes of different sizes, real images by %i',
    async (microBatch) => {
      const state = goldenState(device, student, 400)
      // In place of a freshly drawn network, the goldens'.
      const params = new Params(state)
      const fixed: Student = { ...student, features: (_, x) => student.features(params, x) }
      const context = runContext(device, 2, fixed)
      const realBatch = (k: number): Tensor => valuesTensor(device, 10 + k, [[5, 3, 4][k]!, 2, 8, 8], -2, 2)
      const matcher = dm({ microBatch }).start(context)
      await expectMatched(
        scope(() => matcher.match(matchingContext(context, { realBatch }))),
        golden.distribution,
      )
      disposeState(state)
    },
  )

  test('refuses micro-batches of none', () => {
    expect(() => dm({ microBatch: 0 })).toThrow(/microBatch is 0/)
  })
})
