import { inspect } from 'node:util'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { keep, ops, random, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import { padTo } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { byteSource, openCheckpoint } from '../../src/io/index.ts'
import {
  DistillationStopped,
  type DistilledSet,
  type DistillProgress,
  type DistillSettings,
  dc,
  distill,
  distilledFromSafetensors,
  distilledToSafetensors,
  dm,
  type Experts,
  estimateDistill,
  expertsInMemory,
  type LatentDiffusionSpaceOptions,
  mtt,
  normalizationOf,
  type Objective,
  type PixelSpaceOptions,
  Prior,
  planDistill,
  priorFromCheckpoint,
  trainExperts,
} from '../../src/ld3m/index.ts'
import { type Matcher, statelessMatcher } from '../../src/ld3m/objectives/types.ts'
import { convNet, vit } from '../../src/models/index.ts'
import { expectClose } from '../support/checks.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyPrior } from '../support/tiny.ts'

let device: Device
let prior: Prior
let experts: Experts
const dataset = tinyDataset()
const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
type Options = DistillSettings & LatentDiffusionSpaceOptions
const options = (more: Partial<Options> = {}): Options => ({
  ...{ dataset, prior, student, objective: dm(), imagesPerClass: 2, steps: 3, realBatch: 4 },
  diffusion: { steps: 2 },
  ...more,
})

beforeAll(async () => {
  device = await testDevice()
  prior = tinyPrior(device)
  experts = await trainExperts({ device, dataset, student, store: expertsInMemory(), count: 3, epochs: 4, batch: 8 })
})

const caught = async (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => expect.fail('it did not throw'),
    (error: Error) => error,
  )

test.each([
  ['one chunk', { objective: dm() }],
  ['several chunks', { objective: dm(), chunk: 3 }],
  ['second order', { objective: dc() }],
  ['checkpoints', { objective: dm(), diffusion: { steps: 2, checkpoint: true } }],
  ['a network that is kept', { objective: dc({ loops: { outer: 3, inner: 2 } }) }],
  ['trajectories', () => ({ objective: mtt({ experts, studentSteps: 3 }) })],
  ['trajectories in constant memory', () => ({ objective: mtt({ experts, differentiation: 'constant', batch: 2 }) })],
] as const)('planDistill tells the peak of memory before the run: %s', async (_, given) => {
  const more = typeof given === 'function' ? given() : given
  const before = device.memory
  const { peakBytes, afterBytes } = planDistill(options(more))
  expect(device.memory).toEqual(before)
  const inUse: number[] = []
  device.resetPeak()
  await distill(options({ ...more, onProgress: ({ memory }) => void inUse.push(memory.peak) }))
  expect(inUse.at(-1)).toBe(peakBytes)
  expect(device.memory.current).toBe(afterBytes)
})

test('estimateDistill tells memory, and time by iterations after the first, and leaves nothing behind', async () => {
  /** Distribution matching that waits before the first iteration, as for kernels that compile. */
  const slow = (): Objective => ({
    ...dm(),
    start: (run) => ({
      ...dm().start(run),
      prepare: (iteration) => new Promise((done) => setTimeout(done, iteration === 0 ? 3000 : 40)),
    }),
  })
  // Packs the prior's weights, which stay.
  await distill(options({ steps: 1 }))
  const before = device.memory.current
  const onProgress = () => expect.fail('a trial is no run')
  const given = options({ objective: slow(), steps: 50, onProgress })
  const { peakBytes, secondsPerIteration, seconds } = await estimateDistill(given, { timed: 3 })
  expect(device.memory.current).toBe(before)
  expect(peakBytes).toBe(planDistill(given).peakBytes)
  expect(secondsPerIteration).toBeGreaterThan(0.039)
  expect(secondsPerIteration).toBeLessThan(2)
  expect(seconds).toBeCloseTo(50 * secondsPerIteration, 9)
  await expect(estimateDistill(given, { timed: 0 })).rejects.toThrow(/estimateDistill: timed is 0/)

  // A run's own figure leaves out the first iteration as well, as soon as there is another.
  const left: number[] = []
  const follow = ({ secondsLeft }: DistillProgress) => void left.push(secondsLeft)
  await distill(options({ objective: slow(), steps: 3, onProgress: follow }))
  expect(left[0]).toBeGreaterThan(6)
  expect(left[1]).toBeLessThan(2)
  expect(left[2]).toBe(0)
})

test('a start that fails gives back what there was', async () => {
  const disposed = vi.fn()
  const objective: Objective = { ...dm(), start: (run) => ({ ...dm().start(run), dispose: disposed }) }
  const gone = tinyPrior(device)
  gone.dispose()
  const given = options({ objective, prior: gone })
  await expect(distill(given)).rejects.toThrow(/disposed/)
  expect(disposed).toHaveBeenCalledTimes(1)
  expect(() => planDistill(given)).toThrow(/disposed/)
  expect(disposed).toHaveBeenCalledTimes(2)
})

test('planDistill says what is wrong with a dataset, as distill does', async () => {
  const given = options({ dataset: undefined as never })
  await expect(distill(given)).rejects.toThrow(/distill: dataset is undefined/)
  expect(() => planDistill(given)).toThrow(/distill: dataset is undefined/)
})

test('checkpoints of the denoiser give the same images', async () => {
  const run = (checkpoint: boolean) =>
    distill(options({ objective: dm(), diffusion: { steps: 2, checkpoint }, learningRate: 0.01 }))
  const [recomputed, kept] = [await run(true), await run(false)]
  expectClose(recomputed.images.data, kept.images.data, 1e-4, 'images')
  expectClose(recomputed.latents!.data, kept.latents!.data, 1e-4, 'latents')
})

const objectives: readonly (readonly [string, (experts: Experts) => Objective])[] = [
  ['DM', () => dm()],
  ['DC', () => dc()],
  ['DC by mean squares', () => dc({ distance: 'mse' })],
  ['DC by one cosine', () => dc({ distance: 'cos' })],
  ['DC with loops', () => dc({ loops: { outer: 2, inner: 2 } })],
  ['MTT', (experts) => mtt({ experts, studentSteps: 3 })],
  ['MTT in constant memory', (experts) => mtt({ experts, studentSteps: 3, differentiation: 'constant', batch: 3 })],
]

describe.each(objectives)('distill with %s', (_, make) => {
  let objective: Objective
  beforeAll(() => {
    objective = make(experts)
  })

  test('gives images, labels and parameters of the stated shapes, and a loss an iteration', async () => {
    const seen: number[] = []
    const set = await distill(options({ objective, onProgress: ({ iteration }) => void seen.push(iteration) }))
    expect(seen).toEqual([1, 2, 3])
    expect(set.images.shape).toEqual([4, 1, 8, 8])
    expect([...set.labels]).toEqual([0, 0, 1, 1])
    expect(set.latents!.shape).toEqual([4, 2, 4, 4])
    expect(set.conditioning!.shape).toEqual([4, 6])
    expect(set.loss.length).toBe(3)
    expect(set.loss.every((l) => Number.isFinite(l) && l > 0)).toBe(true)
    expect(set.images.data.every((v) => v >= 0 && v <= 1)).toBe(true)
  })

  test('goes on from a saved state with the same bits', async () => {
    const saved: Uint8Array[] = []
    const save = async (progress: DistillProgress) => {
      saved.push(await progress.save())
    }
    const before = device.memory.current
    const whole = await distill(options({ objective, steps: 4, onProgress: save }))
    for (const [i, resume] of saved.entries()) {
      const iterations: number[] = []
      const onProgress = ({ iteration }: DistillProgress) => void iterations.push(iteration)
      expect(await distill(options({ objective, steps: 4, resume, onProgress }))).toEqual(whole)
      expect(iterations).toEqual([2, 3, 4].slice(i))
    }
    expect(device.memory.current).toBe(before)
  })

  test('gives the same gradients in one chunk, with its graph kept, as in several, generated again', async () => {
    const run = (chunk: number) => distill(options({ objective, chunk, steps: 2, learningRate: 0.01 }))
    const [whole, split] = [await run(4), await run(3)]
    expectClose(split.latents!.data, whole.latents!.data, 1e-4, 'latents')
    expectClose(split.conditioning!.data, whole.conditioning!.data, 1e-4, 'conditioning')
  })
})

describe('distill', () => {
  test('refuses to go on from a state of another run, and says what differs', async () => {
    let resume = new Uint8Array()
    const onProgress = async (progress: DistillProgress) => {
      resume = new Uint8Array(await progress.save())
    }
    const set = await distill(options({ steps: 1, onProgress }))
    const refused = async (more: Partial<Options>, message: RegExp) =>
      expect((await caught(distill(options({ resume, ...more })))).message).toMatch(message)
    await refused({ objective: dc() }, /objective.name \("DM" before, "DC" now\), objective.distance \(none before/)
    await refused({ seed: 5, imagesPerClass: 1 }, /imagesPerClass \(2 before, 1 now\), seed \(0 before, 5 now\)/)
    await refused({ resume: distilledToSafetensors(set) }, /not the saved state of the distillation/)
    const wider = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 8 })
    await refused({ student: wider }, /student.parameters.features.0.weight \(\[4,1,3,3\] before, \[8,1,3,3\] now\)/)
    const brighter = { ...dataset, images: dataset.images.map((v) => Math.min(v + 1, 255)) }
    await refused(
      { dataset: brighter },
      /dataset.normalization.mean .*dataset.initialImages \("\w{8}" before, "\w{8}" now/,
    )
    // Of the same statistics, and the same start.
    const reversed = { ...dataset, images: dataset.images.toReversed(), ...normalizationOf(dataset) }
    await refused({ dataset: reversed }, /dataset.images \("\w{8}" before, "\w{8}" now\)/)
    await refused({ dataset: { ...dataset, labels: dataset.labels.map((k) => 1 - k) } }, /dataset.labels \("\w{8}"/)
    // Of the same configuration, with other weights.
    const other = tinyPrior(device, { ...prior.config, name: 'other' })
    expect(await distill(options({ steps: 1, resume, prior: other }))).toEqual(set)
    const { embedding } = other
    embedding.write((await embedding.read()).map((v) => v + 1))
    const changed = new Prior(device, other.config, other.autoencoderState, other.denoiserState, embedding)
    await refused({ prior: changed }, /prior.weights \("\w{8}" before, "\w{8}" now\)/)
    changed.dispose()
  })

  test.each<[Partial<Options>, RegExp]>([
    [{ diffusion: { steps: 3 } }, /diffusion.steps \(2 before, 3 now\)/],
    [{ diffusion: { steps: 2, eta: 0.5 } }, /diffusion.eta \(0 before, 0.5 now\)/],
    [{ diffusion: { steps: 2, guidance: 2 } }, /diffusion.guidance \(3 before, 2 now\)/],
    [{ diffusion: { steps: 2, residual: 'none' } }, /diffusion.residual \("code" before, "none" now\)/],
    [{ priorClasses: [1, 0] }, /priorClasses \(\[0,1\] before, \[1,0\] now\)/],
    [{ learningRate: 0.5 }, /learningRate \(0.1 before, 0.5 now\)/],
    [{ momentum: 0.9 }, /momentum \(0.5 before, 0.9 now\)/],
    [{ realBatch: 5 }, /realBatch \(4 before, 5 now\)/],
    [{ init: 'gaussian' }, /init \("real" before, "gaussian" now\)/],
    [{ learn: 'latents' }, /learned \(\["latents","conditioning"\] before, \["latents"\] now\)/],
    [{ augmentation: ['flip'] }, /augmentation \(\["color",.* before, \["flip"\] now\)/],
    [{ chunk: 3 }, /chunk \(4 before, 3 now\)/],
    [{ objective: dm({ microBatch: 3 }) }, /objective.microBatch \(256 before, 3 now\)/],
    [
      { space: 'autoencoder', diffusion: undefined } as object,
      /space \("latent-diffusion" before, "autoencoder" now\)/,
    ],
  ])('refuses to go on with %o', async (more, message) => {
    let resume = new Uint8Array()
    const onProgress = async (progress: DistillProgress) => {
      resume = new Uint8Array(await progress.save())
    }
    await distill(options({ steps: 1, onProgress }))
    const error = await caught(distill(options({ steps: 2, resume, ...more })))
    expect(error).toMatchObject({ code: 'data', message: expect.stringMatching(message) })
  })

  test('does not mind a number of real images that trajectory matching does not look at', async () => {
    let resume = new Uint8Array()
    const onProgress = async (progress: DistillProgress) => {
      resume = new Uint8Array(await progress.save())
    }
    const objective = mtt({ experts })
    const set = await distill(options({ steps: 1, objective, onProgress }))
    expect(await distill(options({ steps: 1, objective, realBatch: 5, resume }))).toEqual(set)
  })

  test('refuses to go on with other experts', async () => {
    let resume = new Uint8Array()
    const onProgress = async (progress: DistillProgress) => {
      resume = new Uint8Array(await progress.save())
    }
    await distill(options({ steps: 1, objective: mtt({ experts }), onProgress }))
    const store = expertsInMemory()
    const other = await trainExperts({ device, dataset, student, store, count: 1, epochs: 4, batch: 8, seed: 1 })
    const error = await caught(distill(options({ steps: 2, resume, objective: mtt({ experts: other }) })))
    expect(error.message).toMatch(
      /objective.experts.count \(3 before, 1 now\), .*objective.experts.training.seed \(0 before, 1 now\)/,
    )
    // Made alike, of other images with the same names and sizes.
    const images = dataset.images.map((v, i) => (i % 64 === 0 ? v ^ 1 : v))
    const spec = { device, student, store: expertsInMemory(), count: 3, epochs: 4, batch: 8 }
    const alike = await trainExperts({ ...spec, dataset: { ...dataset, images, ...normalizationOf(dataset) } })
    const refused = await caught(distill(options({ steps: 2, resume, objective: mtt({ experts: alike }) })))
    expect(refused.message).toMatch(/other options: objective.experts.finalLoss \(0.\d+ before, 0.\d+ now\)/)
  })

  test('carries the learning rate that trajectory matching learned', async () => {
    const rate = async (learnStudentLearningRate: number) => {
      const objective = mtt({ experts, studentLearningRate: 0.03, learnStudentLearningRate })
      return (await distill(options({ objective, steps: 1 }))).studentLearningRate
    }
    expect(await rate(0)).toBe(Math.fround(0.03))
    expect(await rate(1e-4)).not.toBe(Math.fround(0.03))
    expect((await distill(options({ steps: 1 }))).studentLearningRate).toBeUndefined()
  })

  test('says which experts do not fit', async () => {
    const other = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 8 })
    const error = await caught(distill(options({ student: other, objective: mtt({ experts }) })))
    expect(error.message).toMatch(
      /features.0.weight of their ConvNet-2 is \[4, 1, 3, 3\], of the student ConvNet-2 it is \[8, 1, 3, 3\]/,
    )
  })

  test('tells networks apart whose parameters have the same shapes', async () => {
    const transformer = (heads: number) =>
      vit({ channels: 1, size: 8, classes: 2, width: 8, depth: 1, heads, headWidth: 8 / heads, hidden: 8 })
    let resume = new Uint8Array()
    const onProgress = async (progress: DistillProgress) => {
      resume = new Uint8Array(await progress.save())
    }
    await distill(options({ student: transformer(2), steps: 1, onProgress }))
    const error = await caught(distill(options({ student: transformer(4), steps: 2, resume })))
    expect(error.message).toMatch(/student.hyperparameters.heads \(2 before, 4 now\)/)
    const spec = { device, dataset, student: transformer(2), store: expertsInMemory(), count: 1, epochs: 3, batch: 8 }
    const objective = mtt({ experts: await trainExperts(spec) })
    const refused = await caught(distill(options({ student: transformer(4), objective })))
    expect(refused.message).toMatch(/experts are ViT of other hyperparameters: heads \(2 before, 4 now\)/)
    await distill(options({ student: transformer(2), objective, steps: 1 }))
  })

  test('repeats bit for bit with one seed, and differs with another', async () => {
    const [a, b, c] = [await distill(options()), await distill(options()), await distill(options({ seed: 1 }))]
    expect(b.latents!.data).toEqual(a.latents!.data)
    expect(b.loss).toEqual(a.loss)
    expect(c.loss).not.toEqual(a.loss)
  })

  test.each(['latents', 'conditioning'] as const)('learns only the %s if asked to', async (learn) => {
    const start = await distill(options({ steps: 1, learningRate: 1e-12 }))
    const set = await distill(options({ learn, learningRate: 1 }))
    const other = learn === 'latents' ? 'conditioning' : 'latents'
    expect(set[learn]!.data).not.toEqual(start[learn]!.data)
    expectClose(set[other]!.data, start[other]!.data, 1e-6, other)
  })

  test('keeps GPU memory flat over iterations and returns all of it', async () => {
    const before = device.memory.current
    const current: number[] = []
    await distill(options({ steps: 6, onProgress: ({ memory }) => void current.push(memory.current) }))
    expect(new Set(current.slice(1)).size).toBe(1)
    expect(device.memory.current).toBe(before)
  })

  test('stops at an abort with the result so far', async () => {
    const controller = new AbortController()
    const stop = ({ iteration }: { iteration: number }) => {
      if (iteration === 2) controller.abort()
    }
    const error = await caught(distill(options({ steps: 50, signal: controller.signal, onProgress: stop })))
    expect(error).toBeInstanceOf(DistillationStopped)
    expect((error as DistillationStopped).code).toBe('aborted')
    expect((error as DistillationStopped).result.loss.length).toBe(2)
    // As Node prints what nobody caught: without the arrays that it carries.
    expect(inspect(error)).not.toMatch(/Array/)
  })

  /** The same with another loss at a call, as an explosion has. */
  const exploding = (objective: Objective, at: number, value: number): Objective => {
    let calls = 0
    return {
      ...objective,
      start(run) {
        const matcher = objective.start(run)
        const match: Matcher['match'] = (context) => {
          const matched = matcher.match(context)
          return ++calls === at ? { ...matched, loss: ops.fill(device, [1], value) } : matched
        }
        const { prepare, update, learned } = matcher
        return {
          ...(prepare && { prepare: (iteration) => prepare.call(matcher, iteration) }),
          ...(update && { update: (own) => update.call(matcher, own) }),
          ...(learned && { learned: () => learned.call(matcher) }),
          state: () => matcher.state(),
          restore: (state) => matcher.restore(state),
          dispose: () => matcher.dispose(),
          match,
        }
      },
    }
  }

  test.each([
    [Number.NaN, /loss became NaN, after 2 of 3 iterations/],
    [1e20, /loss became 1\S+ from \S+ at first, after 2 of 3 iterations.*lower learningRate/],
  ])('stops at a loss of %d and names it', async (value, message) => {
    // Weights that were packed stay so.
    await distill(options({ steps: 1 }))
    const before = device.memory.current
    const error = (await caught(distill(options({ objective: exploding(dm(), 3, value) })))) as DistillationStopped
    expect(error.code).toBe('numeric')
    expect(error.message).toMatch(message)
    expect(device.memory.current).toBe(before)
  })

  test.each([
    ['DM', () => dm()],
    ['DC', () => dc()],
    ['DC with loops', () => dc({ loops: { outer: 3, inner: 2 } })],
    ['MTT', () => mtt({ experts, learnStudentLearningRate: 1e-3 })],
  ])('undoes the update after which the loss exploded, and goes on from there: %s', async (_, objective) => {
    const run = (more: Partial<Options>) => distill(options({ objective: objective(), steps: 4, ...more }))
    for (const calls of [2, 3, 4]) {
      const error = (await caught(run({ objective: exploding(objective(), calls, 1e30) }))) as DistillationStopped
      const done = calls - 2
      expect(error.result.loss.length).toBe(done)
      if (done > 0) expect(error.result).toEqual(await run({ steps: done }))
      else expect(error.result.images).toEqual(error.result.initialImages)
      expect(await run({ resume: error.state })).toEqual(await run({}))
    }
  })

  test.each<[string, () => Partial<Options> | DistillSettings, RegExp]>([
    ['an unknown option', () => ({ iterations: 3 }) as object, /unknown option 'iterations'.*steps/],
    ['no steps', () => ({ steps: 0 }), /steps is 0.*integer/],
    ['a wrong size', () => ({ dataset: padTo(dataset, 16) }), /1×16×16.*1×8×8.*padTo/],
    ['a student of fewer classes', () => ({ student: convNet({ channels: 1, size: 8, classes: 1 }) }), /has 1 outputs/],
    [
      'a student of larger images',
      () => ({ student: convNet({ channels: 1, size: 16, classes: 2 }) }),
      /takes images of 1×16×16; the dataset has 1×8×8/,
    ],
    ['a negative rate', () => ({ learningRate: -1 }), /learningRate is -1/],
    ['too many images', () => ({ imagesPerClass: 99 }), /'dark' has 12 images; 99 are needed/],
    ['unknown prior classes', () => ({ priorClasses: [0, 7] }), /priorClasses is \[0,7\]/],
    ['a fractional seed', () => ({ seed: 0.5 }), /seed is 0.5/],
  ])('refuses %s with what came and what to do', async (_, more, message) => {
    const error = await caught(distill(options(more())))
    expect(error.message).toMatch(message)
  })
})

describe('spaces', () => {
  const inPixels = (more: Partial<DistillSettings> = {}): DistillSettings & PixelSpaceOptions => ({
    ...{ dataset, student, objective: dc(), imagesPerClass: 2, steps: 3, realBatch: 4, space: 'pixel', device },
    ...more,
  })

  test('pixels start as real images, are learned without a prior, and lower the loss of one network', async () => {
    const norms: object[] = []
    const onProgress = ({ gradientNorm }: DistillProgress) => void norms.push(gradientNorm)
    const set = await distill(inPixels({ onProgress }))
    expect(set.images.shape).toEqual([4, 1, 8, 8])
    expect([set.latents, set.conditioning]).toEqual([undefined, undefined])
    expect(Object.keys(norms[0]!)).toEqual(['pixels'])
    const real = new Set(Array.from(dataset.images, (v) => Math.fround(v / 255)))
    expect(set.initialImages.data.every((v) => real.has(v) || [...real].some((r) => Math.abs(r - v) < 1e-6))).toBe(true)
    expect(set.images.data).not.toEqual(set.initialImages.data)
    // A network that stays and images that all are seen: gradient descent on one function.
    const objective = dc({ distance: 'mse', loops: { outer: 30, inner: 1 }, networkLearningRate: 1e-9 })
    const steady = { augmentation: [], realBatch: 12, momentum: 0, learningRate: 0.5 }
    const { loss } = await distill(inPixels({ objective, steps: 20, ...steady }))
    expect(loss.at(-1)!).toBeLessThan(0.9 * loss[0]!)
  })

  test('pixels are free, and what is matched is what comes of it', async () => {
    const { mean, std } = normalizationOf(dataset)
    const matched: Tensor[] = []
    const brighter: Objective = {
      ...{
        name: 'brighter',
        learningRate: { 'latent-diffusion': 1, autoencoder: 1, pixel: 1 },
        options: {},
        realBatches: 0,
      },
      start: () =>
        statelessMatcher(({ images }) => {
          matched.push(keep(ops.affine(images, std[0]!, mean[0]!)))
          return { loss: ops.fill(device, [1], 1), gradient: ops.fill(device, images.shape, -1) }
        }),
    }
    const { images } = await distill(inPixels({ objective: brighter, steps: 3 }))
    await distill(inPixels({ objective: brighter, steps: 4 }))
    const seen = await Promise.all(matched.map((t) => t.read()))
    for (const t of matched) t.dispose()
    expect(Math.max(...images.data)).toBeGreaterThan(1)
    expectClose(images.data, seen.at(-1)!, 1e-6, 'images')
  })

  test('without diffusion, latents are decoded as they are', async () => {
    const { diffusion: _, priorClasses: _classes, ...rest } = options({ learningRate: 1 })
    const set = await distill({ ...rest, space: 'autoencoder' })
    expect(set.conditioning).toBe(undefined)
    expect(set.latents!.shape).toEqual([4, 2, 4, 4])
    expect(set.images.data).not.toEqual(set.initialImages.data)
    const latents = scope(() => keep(tensor(device, set.latents!.data, { shape: set.latents!.shape })))
    const decoded = scope(() => prior.decode(latents))
    const unit = (await decoded.read()).map((v) => Math.min(Math.max((v + 1) / 2, 0), 1))
    expectClose(set.images.data, unit, 1e-5, 'images')
    for (const t of [latents, decoded]) t.dispose()
  })

  test('normal latents are other numbers than the noise of the process', async () => {
    const gaussian = options({
      init: 'gaussian',
      diffusion: { steps: 2, eta: 1 },
      steps: 1,
      seed: 5,
      learningRate: 1e-9,
    })
    const { latents } = await distill(gaussian)
    const { shape } = latents!
    const noises = [0, 1, 2].map((stream) => scope(() => keep(random.normal(device, shape, { seed: 5, stream }))))
    for (const noise of noises) {
      const values = await noise.read()
      expect(latents!.data.every((z, i) => Math.abs(z * prior.config.latentScale - values[i]!) < 1e-3)).toBe(false)
      noise.dispose()
    }
  })

  test('normal numbers are another start', async () => {
    const set = await distill(inPixels({ init: 'gaussian', steps: 1 }))
    expect(set.initialImages.data).not.toEqual((await distill(inPixels({ steps: 1 }))).initialImages.data)
  })

  test('sets without latents round-trip through safetensors', async () => {
    const set = await distill(inPixels({ steps: 1 }))
    expect(distilledFromSafetensors(distilledToSafetensors(set))).toEqual(set)
  })

  test('planDistill tells the peak of memory in pixel space', async () => {
    const { peakBytes } = planDistill(inPixels({ chunk: 3 }))
    device.resetPeak()
    await distill(inPixels({ chunk: 3 }))
    expect(peakBytes).toBe(device.memory.peak)
  })

  test.each<[string, () => object, RegExp]>([
    ['pixels with a prior', () => ({ ...inPixels(), prior }), /takes a device and no prior/],
    ['latents without one', () => ({ ...options(), prior: undefined }), /takes a prior/],
    ['diffusion of pixels', () => ({ ...inPixels(), diffusion: {} }), /diffusion is of no use in space 'pixel'/],
    ['conditionings without diffusion', () => noDiffusion({ learn: 'both' }), /'autoencoder', latents are all/],
    ['another space', () => ({ ...inPixels(), space: 'fourier' }), /one of latent-diffusion, autoencoder, pixel/],
  ])('refuses %s', async (_, given, message) => {
    expect((await caught(distill(given() as Options))).message).toMatch(message)
  })

  function noDiffusion(more: Partial<Options>): object {
    const { diffusion: _, ...rest } = options(more)
    return { ...rest, space: 'autoencoder' }
  }
})

const load = async (bytes: Uint8Array) =>
  priorFromCheckpoint(device, await openCheckpoint(byteSource(bytes, 'the prior')))

describe('files', () => {
  test('a distilled set round-trips through safetensors', async () => {
    for (const objective of [dm(), mtt({ experts })]) {
      const set: DistilledSet = await distill(options({ steps: 1, objective }))
      expect(distilledFromSafetensors(distilledToSafetensors(set))).toEqual(set)
    }
  })

  test('a prior round-trips through safetensors', async () => {
    const again = await load(await prior.toSafetensors())
    expect(again.config).toEqual(prior.config)
    const [a, b] = [await distill(options({ steps: 1 })), await distill(options({ steps: 1, prior: again }))]
    expect(b.images.data).toEqual(a.images.data)
    again.dispose()
  })

  test('what is not a prior is refused with the reason', async () => {
    const set = await distill(options({ steps: 1 }))
    await expect(load(distilledToSafetensors(set))).rejects.toThrow(/no configuration.*trainPrior/)
    const bytes = await prior.toSafetensors()
    await expect(load(bytes.subarray(0, bytes.length - 4))).rejects.toThrow(/the prior: tensor .* reaches beyond/)
  })
})
