import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../src/gpu/index.ts'
import {
  byteSource,
  Checkpoint,
  openCheckpoint,
  readSafetensors,
  type StoredTensor,
  toFloat32,
  toHalfBits,
  writeSafetensors,
} from '../../src/io/index.ts'
import {
  alphasCumprod,
  type Prior,
  type PriorConfig,
  type PriorOptions,
  priorFromCheckpoint,
} from '../../src/ld3m/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyPrior } from '../support/tiny.ts'

let device: Device
let prior: Prior
let own: ReadonlyMap<string, StoredTensor>
beforeAll(async () => {
  device = await testDevice()
  prior = tinyPrior(device)
  own = readSafetensors(await prior.toSafetensors(), 'the prior').tensors
})

const scaleOf = ({ config }: Prior) => f32(Float32Array.of(config.latentScale))
const f32 = (data: Float32Array): StoredTensor => ({ dtype: 'F32', shape: [data.length], data })
const schedule = () => f32(Float32Array.from(alphasCumprod))

/** A prior's tensors with others beside them, and without a configuration: what a foreign checkpoint looks like. */
const foreign = (others: Record<string, StoredTensor> = {}, metadata: Record<string, string> = {}) =>
  openCheckpoint(
    byteSource(writeSafetensors(new Map([...own, ...Object.entries(others)]), metadata), 'model.safetensors'),
  )
const load = async (checkpoint: Promise<Checkpoint>, options?: PriorOptions) =>
  priorFromCheckpoint(device, await checkpoint, options)

describe('a checkpoint of latent diffusion', () => {
  test('is loaded by a given configuration; schedules, averages and losses are left out', async () => {
    const others = {
      ...{ alphas_cumprod: schedule(), betas: f32(new Float32Array(1000)), scale_factor: scaleOf(prior) },
      ...{ 'model_ema.decay': f32(Float32Array.of(0.9)), 'first_stage_model.loss.logvar': f32(Float32Array.of(0)) },
    }
    const loaded = await load(foreign(others), { config: prior.config })
    expect(loaded.config).toEqual(prior.config)
    const again = readSafetensors(await loaded.toSafetensors(), 'the loaded prior').tensors
    expect(new Map([...again].sort())).toEqual(new Map([...own].sort()))
    loaded.dispose()
  })

  test.each(['F16', 'BF16'] as const)('may be in %s as a whole, its schedule too', async (dtype) => {
    const toBfloat16 = (values: Float32Array) =>
      Uint16Array.from(new Uint32Array(values.buffer), (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16)
    const round = dtype === 'F16' ? toHalfBits : toBfloat16
    const others = [['alphas_cumprod', schedule()] as const, ['scale_factor', scaleOf(prior)] as const]
    const rounded = [...own, ...others].map(([name, tensor]) => {
      return [name, { dtype, shape: tensor.shape, data: round(toFloat32(tensor).slice()) } as const] as const
    })
    const bytes = writeSafetensors(new Map(rounded))
    const loaded = await load(openCheckpoint(byteSource(bytes)), { config: prior.config })
    const weights = await loaded.embedding.read()
    const [, stored] = rounded.find(([name]) => name === 'cond_stage_model.embedding.weight')!
    expect(weights).toEqual(toFloat32(stored))
    loaded.dispose()
  })

  test('that does not fit names what is wrong in all parts at once, and reads none', async () => {
    const tensors = new Map(own)
    tensors.delete('first_stage_model.quant_conv.bias')
    tensors.set('model.diffusion_model.out.2.bias', f32(new Float32Array(7)))
    tensors.set('cond_stage_model.bert.w', f32(new Float32Array(1)))
    const checkpoint = await openCheckpoint(byteSource(writeSafetensors(tensors)))
    let pieces = 0
    checkpoint.pieces = () => {
      pieces++
      throw new Error('read')
    }
    await expect(priorFromCheckpoint(device, checkpoint, { config: prior.config })).rejects.toThrow(
      /missing first_stage_model\.quant_conv\.bias; .*out\.2\.bias is \[7\], expected \[2\]; unexpected cond_stage_model\.bert\.w/,
    )
    expect(pieces).toBe(0)
  })

  /** The published ImageNet model, as far as it is asked before its first tensor is read. */
  function published(changes: Record<string, readonly number[] | undefined> = {}) {
    const rows = readFileSync(new URL('../golden/cin256-v2-keys.tsv', import.meta.url), 'utf8')
      .trim()
      .split('\n')
    const shapes = rows.map((row) => {
      const [name, shape] = row.split('\t') as [string, string]
      return [name, (shape.match(/\d+/g) ?? []).map(Number)] as const
    })
    const tensors = Object.entries({ ...Object.fromEntries(shapes), ...changes }).flatMap(([name, shape]) =>
      shape ? [[name, { dtype: 'F32', shape }] as const] : [],
    )
    const fail = (name: string) => {
      throw new Error(`reads ${name}`)
    }
    return Object.create(Checkpoint.prototype, {
      tensors: { value: new Map(tensors) },
      metadata: { value: {} },
      read: { value: fail },
      pieces: { value: fail },
    }) as Checkpoint
  }

  test('is known by its names and shapes if it is a published one', async () => {
    for (const size of [128, 256]) {
      await expect(priorFromCheckpoint(device, published(), { size })).rejects.toThrow(
        'reads model.diffusion_model.time_embed.0.weight',
      )
    }
    await expect(priorFromCheckpoint(device, published(), { size: 100 })).rejects.toThrow(/size is 100.*multiple of 32/)
  })

  test('that is nearly a published one is told what is missing', async () => {
    const changes = { 'first_stage_model.quant_conv.bias': undefined, 'cond_stage_model.embedding.weight': [101, 512] }
    await expect(priorFromCheckpoint(device, published(changes))).rejects.toThrow(
      /nearest is ldm-imagenet, but missing first_stage_model\.quant_conv\.bias; cond_stage_model\.embedding\.weight is \[101,512\], expected \[1001,512\]\./,
    )
  })

  test.each(['alphas_cumprod', 'scale_factor'])(
    'with gigabytes of %s is refused before they are read',
    async (name) => {
      await expect(priorFromCheckpoint(device, published({ [name]: [2 ** 30] }))).rejects.toThrow(
        new RegExp(`${name}.*\\[1073741824\\]`),
      )
    },
  )

  test.each<[string, () => Promise<Prior>, RegExp]>([
    ['of no known model', () => load(foreign()), /no published model.*pass config/],
    [
      'of another noise schedule',
      () =>
        load(
          foreign({ alphas_cumprod: f32(Float32Array.from(alphasCumprod, (a, t) => (t < 7 ? a : a / 2))) }),
          given(),
        ),
      /schedule.*at step 7.*linear_start/,
    ],
    [
      'of a shorter schedule',
      () => load(foreign({ alphas_cumprod: f32(new Float32Array(0)) }), given()),
      /alphas_cumprod, is \[0\].*1000 steps/,
    ],
    [
      'of latents that are scaled otherwise',
      () => load(foreign({ scale_factor: f32(Float32Array.of(0.18215)) }), given()),
      /scale_factor is 0\.18215.*, and the configuration's latentScale .*Pass config/,
    ],
    ['with tensors of something else', () => load(foreign({ 'cond_stage_model.bert.w': schedule() }), given()), /bert/],
    [
      'with a configuration, when another one is given',
      () => load(foreign({}, { config: JSON.stringify(prior.config) }), given()),
      /both config and the file's own configuration/,
    ],
    ['by a configuration and a size', () => load(foreign(), { ...given(), size: 64 }), /both config and size/],
    [
      'of another size than asked for',
      () => load(foreign({}, { config: JSON.stringify(prior.config) }), { size: 64 }),
      /size is 64; the file's prior makes images of 8×8/,
    ],
  ])('is refused if it is one %s', async (_, loading, message) => {
    const before = device.memory.current
    await expect(loading()).rejects.toThrow(message)
    expect(device.memory.current).toBe(before)
  })

  const given = (): PriorOptions => ({ config: prior.config })

  test.each<[string, (config: PriorConfig) => unknown, RegExp]>([
    [
      'has no end of blocks',
      (c) => ({ ...c, denoiser: { ...c.denoiser, numResBlocks: 1e9 } }),
      /denoiser\.numResBlocks/,
    ],
    [
      'has no end of levels',
      (c) => ({ ...c, autoencoder: { ...c.autoencoder, channelMult: new Array(10_000).fill(1) } }),
      /autoencoder\.channelMult/,
    ],
    [
      'has no end of stages',
      (c) => ({ ...c, autoencoder: { ...c.autoencoder, kind: 'tiny', stages: 1e9 } }),
      /autoencoder\.stages/,
    ],
    ['has no end', (c) => ({ ...c, name: 'x'.repeat(2 ** 22) }), /characters, more than the 4194304/],
    ['has no scale', ({ latentScale: _, ...c }) => c, /latentScale/],
    ['has classes without a context', (c) => ({ ...c, classes: 0 }), /0 classes and a denoiser with contextDim 6/],
    ['has more names than classes', (c) => ({ ...c, classNames: ['a', 'b', 'c'] }), /2 classes and 3 names of them/],
    [
      'has parts of different channels',
      (c) => ({ ...c, denoiser: { ...c.denoiser, inChannels: 5 } }),
      /autoencoder from 1 to 2 channels and a denoiser of 5/,
    ],
    [
      'has images that do not divide',
      (c) => ({ ...c, image: { ...c.image, height: 9 } }),
      /images of 9×8.*multiples of/,
    ],
  ])('is refused if its configuration %s', async (_, change, message) => {
    const config = change(prior.config)
    const start = performance.now()
    const stated = load(foreign({}, { config: JSON.stringify(config) }))
    await expect(stated).rejects.toThrow(message)
    await expect(stated).rejects.toMatchObject({ code: 'data' })
    expect(performance.now() - start).toBeLessThan(2000)
    if (message.source.includes('characters')) return
    const passed = load(foreign(), { config: config as PriorConfig })
    await expect(passed).rejects.toThrow(message)
    await expect(passed).rejects.toMatchObject({ code: 'option' })
  })
})
