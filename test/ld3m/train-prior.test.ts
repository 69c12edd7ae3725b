import { inspect } from 'node:util'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { type AnyDataset, createStreamedDataset } from '../../src/data/index.ts'
import { Ld3mError } from '../../src/errors.ts'
import type { Device } from '../../src/gpu/index.ts'
import {
  denoiserRecipe,
  emaDecayFor,
  planPriorTraining,
  priorRecipe,
  TrainingStopped,
  type TrainPriorOptions,
  type TrainProgress,
  trainPrior,
} from '../../src/ld3m/index.ts'
import {
  autoencoder,
  type HostTensor,
  initialize,
  type TinyAutoencoderOptions,
  tinyPresets,
  unet,
} from '../../src/models/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset, tinyRecipe } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const recipe = tinyRecipe()

const streamed = ({ images, ...info }: ReturnType<typeof tinyDataset>): AnyDataset => {
  const { count: _count, ...rest } = info
  return createStreamedDataset({ ...rest, load: async (i) => images.slice(i * 64, (i + 1) * 64), cacheBytes: 640 })
}

const bytesOf = async (options: Parameters<typeof trainPrior>[0]): Promise<Uint8Array> => {
  const { prior } = await trainPrior(options)
  const bytes = await prior.toSafetensors()
  prior.dispose()
  return bytes
}

/** A copy of nested options with one value changed. */
const withValue = (options: object, [name = '', ...rest]: readonly string[], value: unknown): object => ({
  ...options,
  [name]: rest.length === 0 ? value : withValue(options[name as never] as object, rest, value),
})

const messageOf = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    if (error instanceof Ld3mError && error.code === 'option') return error.message
    throw error
  }
  return 'nothing was thrown'
}

describe('trainPrior', () => {
  test('gives the same bits from a streamed dataset, and when it is stopped in each stage and goes on', async () => {
    const dataset = tinyDataset()
    const before = device.memory.current
    const whole = await bytesOf({ device, dataset, recipe, seed: 3 })
    expect(device.memory.current).toBe(before)

    const resume: { autoencoder?: Uint8Array | undefined; denoiser?: Uint8Array | undefined } = {}
    // After 46 it is where the codebook is about to be renewed from the last batches: it stops once that is done.
    for (const [stage, at, done] of [
      ['autoencoder', 46, 50],
      ['denoiser', 30, 30],
    ] as const) {
      const controller = new AbortController()
      let steps = 0
      const load = streamed(dataset)
      const counting = {
        ...load,
        read: async (indices: ArrayLike<number>) => {
          if (stage === 'autoencoder' && ++steps > at) controller.abort()
          return await (load as Extract<AnyDataset, { read: unknown }>).read(indices)
        },
      }
      const stopped = await trainPrior({
        ...{ device, dataset: counting, recipe, seed: 3, resume, signal: controller.signal },
        onProgress: async (progress) => {
          if (progress.stage !== stage && progress.step === progress.steps) resume.autoencoder = await progress.save()
          if (progress.stage === 'denoiser' && progress.step === 20) controller.abort()
        },
      }).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (!(stopped instanceof TrainingStopped)) throw stopped
      expect(stopped).toMatchObject({ stage, code: 'aborted' })
      expect(inspect(stopped)).not.toMatch(/Array/)
      expect(stopped.message).toContain(`after ${stage === 'autoencoder' ? done : 20} of`)
      resume[stage] = stopped.state
    }
    expect(await bytesOf({ device, dataset: streamed(dataset), recipe, seed: 3, resume })).toEqual(whole)

    const other = { ...recipe, autoencoderTraining: { ...recipe.autoencoderTraining, batch: 4 } }
    await expect(trainPrior({ device, dataset, recipe: other, seed: 3, resume })).rejects.toThrow(
      /another training of 'autoencoder': recipe.autoencoderTraining.batch \(\d+ before, \d+ now\)/,
    )
    await expect(trainPrior({ device, dataset: tinyDataset(5), recipe, seed: 3, resume })).rejects.toThrow(
      /dataset.count \(\d+ before, \d+ now\)/,
    )
  })

  test('keeps nothing, also where it ends between two looks at the codebook', async () => {
    const device = await testDevice()
    const before = device.memory.current
    const autoencoderTraining = { ...recipe.autoencoderTraining, steps: 49 }
    const { prior } = await trainPrior({ device, dataset: tinyDataset(), recipe: { ...recipe, autoencoderTraining } })
    prior.dispose()
    expect(device.memory.current).toBe(before)
  })

  test('has the same curves when it goes on between two of their points', async () => {
    const [autoencoderTraining, denoiserTraining] = [
      { ...recipe.autoencoderTraining, steps: 20 },
      { ...recipe.denoiserTraining, steps: 20 },
    ]
    const shorter = { ...recipe, autoencoderTraining, denoiserTraining }
    const given = { device, dataset: tinyDataset(), recipe: shorter, seed: 3 }
    const saved: Record<string, Uint8Array> = {}
    const first = await trainPrior({
      ...given,
      onProgress: async ({ stage, step, save }) => {
        if (step === (stage === 'autoencoder' ? 5 : 15)) saved[stage] = await save()
      },
    })
    expect(Object.keys(saved)).toEqual(['autoencoder', 'denoiser'])
    const second = await trainPrior({ ...given, resume: saved })
    expect(second.curves).toEqual(first.curves)
    first.prior.dispose()
    second.prior.dispose()
  })

  test.each([
    ['autoencoder', 100],
    ['denoiser', 1e4],
  ] as const)('stops where the loss of its %s explodes, and saves nothing of it', async (stage, learningRate) => {
    const before = device.memory.current
    const training = { ...recipe[`${stage}Training`], learningRate }
    const exploding = { device, recipe: { ...recipe, [`${stage}Training`]: training } }
    const { steps } = training
    const said = new RegExp(`^${stage}: the loss became \\S+ from \\S+ at first, after \\d+ of ${steps} steps.*lower`)
    const stopped = { code: 'numeric', message: expect.stringMatching(said) }
    const onProgress = ({ stage: at, loss }: TrainProgress) => {
      if (at === stage) expect(loss).toBeLessThan(1e6)
    }
    await expect(trainPrior({ ...exploding, dataset: tinyDataset(), onProgress })).rejects.toMatchObject(stopped)

    // Nor is it saved where it is aborted before anybody has looked.
    const controller = new AbortController()
    const read = async (indices: ArrayLike<number>) => {
      if (++reads > 3) controller.abort()
      return await (streamed(tinyDataset()) as Extract<AnyDataset, { read: unknown }>).read(indices)
    }
    let reads = stage === 'autoencoder' ? 0 : Number.NEGATIVE_INFINITY
    const aborted = { ...exploding, dataset: { ...streamed(tinyDataset()), read }, signal: controller.signal }
    await expect(trainPrior(aborted)).rejects.toMatchObject(stopped)
    expect(device.memory.current).toBe(before)
  })

  test('can be stopped while it encodes images: what was trained before is not lost', async () => {
    // More than are encoded at once.
    const dataset = tinyDataset(1700)
    const before = device.memory.current
    const kept: HostTensor[] = []
    const stop = async (options: Omit<TrainPriorOptions, 'device' | 'dataset'>): Promise<TrainingStopped> => {
      const controller = new AbortController()
      const seen: number[] = []
      const training = trainPrior({
        ...({ device, dataset, signal: controller.signal, ...options } as TrainPriorOptions),
        onEncode: ({ encoded, count, secondsLeft, latents }) => {
          expect([count, secondsLeft >= 0]).toEqual([dataset.count, true])
          seen.push(encoded)
          kept.push(latents)
          controller.abort()
        },
      })
      const stopped = await training.then(
        () => undefined,
        (error: unknown) => error,
      )
      if (!(stopped instanceof TrainingStopped)) throw stopped
      expect(seen).toEqual([3200])
      expect(stopped.message).toContain('aborted when 3,200 of 3,400 images were encoded')
      return stopped
    }
    const { stage, state } = await stop({ recipe, seed: 3 })
    expect(stage).toBe('autoencoder')
    expect(device.memory.current).toBe(before)
    // What was saved is the end of the first stage, and latents: nothing of it is done again.
    const stages = new Set<string>()
    const encoded: number[] = []
    const resume = { autoencoder: state, latents: [...kept] }
    const { prior } = await trainPrior({
      ...{ device, dataset, recipe, seed: 3, resume },
      onProgress: ({ stage }) => void stages.add(stage),
      onEncode: (progress) => {
        encoded.push(progress.encoded)
        kept.push(progress.latents)
      },
    })
    expect([...stages]).toEqual(['denoiser'])
    expect(encoded).toEqual([3400])
    expect(kept.map(({ shape }) => shape)).toEqual([
      [3200, 2, 4, 4],
      [200, 2, 4, 4],
    ])
    const wrong = {
      ...(kept[0] as HostTensor),
      data: (kept[0] as HostTensor).data.map((v, i) => (i === 9 ? v + 1 : v)),
    }
    for (const latents of [[wrong], [...kept, ...kept], [kept[1] as HostTensor]]) {
      const refused = trainPrior({ device, dataset, recipe, seed: 3, resume: { autoencoder: state, latents } })
      await expect(refused).rejects.toThrow(/encoded before are of other images, or of another autoencoder/)
    }
    const all = { autoencoder: state, latents: kept }
    expect(await bytesOf({ device, dataset, recipe, seed: 3, resume: all })).toEqual(await prior.toSafetensors())
    expect(await prior.toSafetensors()).toEqual(await bytesOf({ device, dataset, recipe, seed: 3 }))

    const { autoencoder: _autoencoder, autoencoderTraining: _training, ...ofDenoiser } = recipe
    const given = { options: prior.config.autoencoder, state: prior.autoencoderState }
    const first = await stop({ recipe: ofDenoiser, autoencoder: given })
    expect([first.stage, first.state, first.fix]).toEqual(['denoiser', undefined, 'Call it again to begin.'])
    const saved = new Uint8Array([1])
    const later = await stop({ recipe: ofDenoiser, autoencoder: given, resume: { denoiser: saved } })
    expect([later.stage, later.state]).toEqual(['denoiser', saved])
    prior.dispose()
  })

  test('draws bright images for the bright class and dark ones for the dark one', async () => {
    const longer = { ...recipe, denoiserTraining: { ...recipe.denoiserTraining, steps: 300 } }
    const reports: Record<string, TrainProgress[]> = { autoencoder: [], denoiser: [] }
    const onProgress = (progress: TrainProgress) => void reports[progress.stage]?.push(progress)
    const { prior, curves } = await trainPrior({ device, dataset: tinyDataset(), recipe: longer, onProgress })
    // The first steps are told sooner; they are no points of the curve of their own.
    const early = [1, 5, 10, 15]
    const marks = (count: number) => Array.from({ length: count }, (_, i) => 20 * (i + 1))
    expect(reports.autoencoder?.map(({ step }) => step)).toEqual([...early, ...marks(3)])
    expect(reports.denoiser?.map(({ step }) => step)).toEqual([...early, ...marks(15)])
    for (const stage of ['autoencoder', 'denoiser'] as const) {
      expect(reports[stage]?.slice(early.length).map(({ loss }) => loss)).toEqual(curves[stage])
      for (const { step, steps, secondsLeft } of reports[stage] ?? []) {
        if (step === steps) expect(secondsLeft).toBe(0)
        else expect(secondsLeft).toBeGreaterThan(0)
      }
    }
    expect(curves.autoencoder.length).toBe(3)
    expect(curves.denoiser.at(-1)).toBeLessThan(curves.denoiser[0] as number)
    const brightness = async (classId: number) => {
      const { data } = await prior.sample({ classId, count: 8, seed: 1, guidance: 2 })
      return data.reduce((a, b) => a + b) / data.length
    }
    // The classes' own means are 0.23 and 0.70; 300 steps bring so small a network about half of the way.
    const [dark, bright] = [await brightness(0), await brightness(1)]
    expect(bright - dark).toBeGreaterThan(0.1)
    prior.dispose()
  })

  test('keeps an autoencoder that it is given, of any kind, and trains a denoiser on its latents', async () => {
    const options: TinyAutoencoderOptions = {
      ...{ kind: 'tiny', channels: 1, latentChannels: 2, width: 4, stages: 1, blocks: 1, globalNorm: false },
    }
    const state = initialize(device, autoencoder(options), { seed: 5 })
    const dataset = tinyDataset()
    const { autoencoder: _autoencoder, autoencoderTraining: _training, ...ofDenoiser } = recipe
    const stages = new Set<string>()
    const { prior, curves } = await trainPrior({
      ...{ device, dataset, recipe: ofDenoiser, autoencoder: { options, state } },
      onProgress: ({ stage }) => void stages.add(stage),
    })
    expect([...stages]).toEqual(['denoiser'])
    expect(curves.autoencoder).toEqual([])
    expect(prior.config.autoencoder).toEqual(options)
    expect(prior.config.classNames).toEqual(['dark', 'bright'])
    for (const [name, t] of Object.entries(state)) {
      expect(await prior.autoencoderState[name]?.read()).toEqual(await t.read())
    }
    // The given parameters outlive the prior.
    prior.dispose()
    expect((await Object.values(state)[0]?.read())?.length).toBeGreaterThan(0)
  })

  test('refuses parts that do not fit before it trains anything', () => {
    const dataset = tinyDataset()
    const wrong = { ...recipe, denoiser: { ...recipe.denoiser, inChannels: 3 } }
    expect(() => planPriorTraining({ device, dataset, recipe: wrong })).toThrow(/inChannels 3.*latentChannels 2/)
    const deep = { ...recipe, denoiser: { ...recipe.denoiser, channelMult: [1, 1, 1, 1] } }
    expect(() => planPriorTraining({ device, dataset, recipe: deep })).toThrow(/halve images 4 times.*8×8/)
    const taesd = { options: tinyPresets.taesd, state: {} }
    const grey = { ...dataset, height: 32, width: 32 }
    expect(() => planPriorTraining({ device, dataset: grey, autoencoder: taesd })).toThrow(/takes 3 channels.*has 1/)
    const given = { device, dataset, recipe, epochs: 3 }
    expect(() => planPriorTraining(given)).toThrow(/unknown option 'epochs'/)
    const [{ contextDim: _, ...unconditional }, kl] = [recipe.denoiser, { ...recipe.autoencoder, kind: 'kl' }]
    expect(() => planPriorTraining({ device, dataset, recipe: { ...recipe, denoiser: unconditional } })).toThrow(
      /recipe\.denoiser has no contextDim/,
    )
    expect(() => planPriorTraining({ device, dataset, recipe: { ...recipe, autoencoder: kl as never } })).toThrow(
      /kind/,
    )
  })

  const none = [undefined, null, 'x', Number.NaN, -1]
  const [first, second] = ['recipe.autoencoderTraining', 'recipe.denoiserTraining'] as const
  test.each<[path: string, refused: readonly unknown[], said: RegExp]>([
    ...[first, second].flatMap((stage): [string, unknown[], RegExp][] => [
      [`${stage}.steps`, [...none, 0, 2.5], /Use an integer ≥ 1/],
      [`${stage}.batch`, [...none, 0, 2.5], /Use an integer ≥ 1/],
      [`${stage}.learningRate`, [...none, 0, Number.POSITIVE_INFINITY], /Use a number > 0/],
      [`${stage}.ema`, [3], /unknown option 'ema'.*Known options: .*batch/],
      [stage, [undefined, null, 3], /Pass an object; known options: .*batch/],
    ]),
    [`${second}.emaDecay`, [...none, 1], /Use a number ≥ 0 and < 1/],
    [`${second}.conditionDropout`, [...none, 1.1], /Use a number ≥ 0 and ≤ 1/],
    ['recipe.denoiserTraning', [{ steps: 3 }], /unknown option 'denoiserTraning'.*Known options: .*denoiserTraining/],
    ['recipe.name', [undefined, 3, ''], /Use a text/],
    ['recipe.denoiser', [undefined, null, 3], /Pass a network's options/],
    ['recipe.autoencoder', [undefined, null, 3], /Pass a network's options/],
    ['recipe', ['x', [1]], /Pass an object/],
  ])('refuses a recipe whose %s is not right, by name', (path, refused, said) => {
    const options = { device, dataset: tinyDataset(), recipe }
    expect(() => planPriorTraining(options)).not.toThrow()
    for (const value of refused) {
      const broken = withValue(options, path.split('.'), value) as typeof options
      const message = messageOf(() => planPriorTraining(broken))
      expect(message, String(value)).toMatch(said)
      const [last, at] = [path.split('.').at(-1) as string, path.slice(0, path.lastIndexOf('.'))]
      expect(message).toContain(message.includes('unknown option') ? `trainPrior: ${at}: ` : `trainPrior: ${path}`)
      expect(message).toContain(last)
    }
  })

  test('refuses what a given autoencoder leaves no room for, and one that is none', () => {
    const given = { device, dataset: tinyDataset(), autoencoder: { options: recipe.autoencoder, state: {} } }
    expect(() => planPriorTraining({ ...given, recipe })).toThrow(/recipe: unknown option 'autoencoder(Training)?'/)
    const { autoencoder: _autoencoder, autoencoderTraining: _training, ...own } = recipe
    expect(planPriorTraining({ ...given, recipe: own }).recipe).toEqual({ ...own, autoencoder: recipe.autoencoder })
    const steps = { ...own, denoiserTraining: { ...own.denoiserTraining, steps: 0 } }
    expect(() => planPriorTraining({ ...given, recipe: steps })).toThrow(/denoiserTraining\.steps is 0/)
    const bare = { ...given, autoencoder: recipe.autoencoder as never }
    expect(() => planPriorTraining(bare)).toThrow(/trainPrior: autoencoder: unknown option/)
  })
})

describe('the default recipes', () => {
  const images = (size: number) => ({ name: 'photographs', channels: 3, height: size, width: size })

  test.each([
    [32, [3, 8]],
    [64, [3, 16]],
    [128, [4, 16]],
  ])('images of %i pixels have latents of %j', (size, [channels, side]) => {
    const { autoencoder: options, denoiser, name } = priorRecipe(images(size))
    expect(name).toBe('photographs')
    expect([options.latentChannels, size / autoencoder(options).downsampling]).toEqual([channels, side])
    expect(denoiser.inChannels).toBe(channels)
    // Attention at 8×8 and below.
    expect((side as number) / 2 ** (denoiser.attentionLevels[0] as number)).toBe(8)
  })

  test('average over a twentieth of the steps, so that nothing of the initial weights is left', () => {
    expect(priorRecipe(images(32)).denoiserTraining.emaDecay).toBe(0.999)
    for (const steps of [1, 20, 100, 1300, 1e6]) expect(emaDecayFor(steps) ** steps).toBeLessThan(1e-8)
  })

  test('fit every size that they accept, and name the step of sizes otherwise', () => {
    const sizes = fc.integer({ min: 8, max: 300 })
    fc.assert(
      fc.property(sizes, fc.constantFrom(1, 3), (size, channels) => {
        const dataset = { ...tinyDataset(1), channels, height: size, width: size }
        let training: ReturnType<typeof planPriorTraining>
        try {
          training = planPriorTraining({ device, dataset })
        } catch (error) {
          const unit = /to multiples of (\d+)/.exec((error as Error).message)?.[1]
          expect(size % Number(unit)).not.toBe(0)
          return
        }
        const { recipe } = training
        const levels = recipe.denoiser.channelMult.length
        const lowest = size / autoencoder(recipe.autoencoder).downsampling / 2 ** (levels - 1)
        expect(Number.isInteger(lowest)).toBe(true)
        expect(Math.max(...recipe.denoiser.attentionLevels)).toBe(levels - 1)
        unet(recipe.denoiser)
      }),
    )
    for (const size of [32, 48, 64, 96, 128, 256])
      expect(priorRecipe(images(size)).denoiser.inChannels).toBeGreaterThan(2)
  })

  test('fit the latents of other autoencoders', () => {
    const { denoiser } = denoiserRecipe(images(128), tinyPresets.taesd)
    expect(denoiser.inChannels).toBe(4)
    expect(denoiser.channelMult.length).toBe(3)
  })
})
