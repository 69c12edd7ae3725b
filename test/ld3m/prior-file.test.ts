import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Device } from '../../src/gpu/index.ts'
import {
  byteSource,
  Checkpoint,
  openCheckpoint,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from '../../src/io/index.ts'
import {
  alphasCumprod,
  ldmImageNet,
  type Prior,
  type PriorOptions,
  priorFromCheckpoint,
  priorParameters,
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
      ...{ alphas_cumprod: schedule(), betas: f32(new Float32Array(1000)), scale_factor: f32(Float32Array.of(1)) },
      ...{ 'model_ema.decay': f32(Float32Array.of(0.9)), 'first_stage_model.loss.logvar': f32(Float32Array.of(0)) },
    }
    const loaded = await load(foreign(others), { config: prior.config })
    expect(loaded.config).toEqual(prior.config)
    const again = readSafetensors(await loaded.toSafetensors(), 'the loaded prior').tensors
    expect(new Map([...again].sort())).toEqual(new Map([...own].sort()))
    loaded.dispose()
  })

  test('is known by its names and shapes if it is a published one', async () => {
    const rows = readFileSync(new URL('../golden/cin256-v2-keys.tsv', import.meta.url), 'utf8')
      .trim()
      .split('\n')
    const tensors = rows.map((row) => {
      const [name, shape] = row.split('\t') as [string, string]
      return [name, { dtype: 'F32', shape: (shape.match(/\d+/g) ?? []).map(Number) }] as const
    })
    // All that is asked of the file before its first tensor is read.
    const read: string[] = []
    const published = Object.create(Checkpoint.prototype, {
      tensors: { value: new Map(tensors) },
      metadata: { value: {} },
      read: { value: async () => schedule() },
      pieces: {
        value: (name: string) => {
          read.push(name)
          throw new Error('the first tensor')
        },
      },
    }) as Checkpoint
    for (const size of [128, 256]) {
      await expect(priorFromCheckpoint(device, published, { size })).rejects.toThrow('the first tensor')
    }
    expect(read).toEqual(['first_stage_model.encoder.conv_in.weight', 'first_stage_model.encoder.conv_in.weight'])
    await expect(priorFromCheckpoint(device, published, { size: 100 })).rejects.toThrow(/size is 100.*multiple of 32/)
  })

  test('that is nearly a published one is an error that tells where it differs', async () => {
    const tensors = Object.entries(priorParameters(ldmImageNet())).map(
      ([name, { shape }]) => [name, { shape }] as const,
    )
    const known = new Map<string, { shape: readonly number[] }>(tensors)
    known.delete('model.diffusion_model.out.2.bias')
    known.set('cond_stage_model.embedding.weight', { shape: [11, 512] })
    const checkpoint = { tensors: known, metadata: {} } as unknown as Checkpoint
    await expect(priorFromCheckpoint(device, checkpoint)).rejects.toThrow(
      /no published model\. Nearest is [\w-]+, but for .*\.out\.2\.bias, which is missing; .*embedding\.weight, which is \[11,512\], not \[1001,512\]\./,
    )
  })

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
      /alphas_cumprod, has (0 steps|undefined at step 0)/,
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
})
