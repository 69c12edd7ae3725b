import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { scope, tensor } from '../../src/autograd/index.ts'
import { toFloat } from '../../src/data/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import {
  type ExpertStore,
  expertsInMemory,
  normalizationOf,
  normalize,
  openExperts,
  type TrainExpertsOptions,
  trainExperts,
} from '../../src/ld3m/index.ts'
import { convNet, loadStateDict, Params, vit } from '../../src/models/index.ts'
import { expertsFolder } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'
import { tinyDataset } from '../support/tiny.ts'

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

const dataset = tinyDataset()
const student = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4 })
const optionsOf = (store: ExpertStore, more: Partial<TrainExpertsOptions> = {}): TrainExpertsOptions => ({
  ...{ device, dataset, student, store, count: 2, epochs: 3, batch: 10, learningRate: 0.1 },
  ...more,
})

const NAMES = [
  'manifest.json',
  ...[0, 1].flatMap((expert) => [0, 1, 2, 3].map((epoch) => `expert-000${expert}/epoch-0${epoch}.safetensors`)),
]
const contents = (store: ExpertStore) => Promise.all(NAMES.map((name) => store.read(name)))

/** A store that breaks down at its nth write, as a process that is killed. */
function breakingAt(store: ExpertStore, n: number): ExpertStore {
  let writes = 0
  return {
    read: store.read,
    write: async (name, bytes) => {
      if (++writes === n) throw new Error('killed')
      await store.write(name, bytes)
    },
  }
}

describe('trainExperts', () => {
  test('drops out what the student says', async () => {
    const losses = async (dropout: number) => {
      const heads = { width: 8, depth: 1, heads: 2, headWidth: 4, hidden: 8, dropout }
      const transformer = vit({ channels: 1, size: 8, classes: 2, ...heads })
      const store = expertsInMemory()
      const spec = { student: transformer, count: 1, epochs: 2 }
      return (await trainExperts(optionsOf(store, spec))).manifest.experts[0]?.loss
    }
    const [without, half] = [await losses(0), await losses(0.5)]
    expect(half).not.toEqual(without)
    expect(await losses(0.5)).toEqual(half)
  })

  test('saves the parameters before and after each epoch, and the losses, which fall', async () => {
    const store = expertsInMemory()
    const before = device.memory.current
    const seen: [number, number][] = []
    const onProgress: TrainExpertsOptions['onProgress'] = ({ expert, epoch }) => void seen.push([expert, epoch])
    const experts = await trainExperts(optionsOf(store, { epochs: 20, onProgress }))
    expect(device.memory.current).toBe(before)
    expect(seen).toHaveLength(40)
    expect(experts.count).toBe(2)
    const { manifest } = experts
    expect(manifest).toMatchObject({ dataset: { name: 'tiny' }, student: { name: 'ConvNet-2' }, training: { seed: 0 } })
    expect(manifest.normalization).toEqual(normalizationOf(dataset))
    for (const { files, loss } of manifest.experts) {
      expect(files).toHaveLength(21)
      expect(loss.at(-1)).toBeLessThan(0.6 * (loss[0] as number))
    }
    const [first, last] = [await experts.snapshot(1, 0), await experts.snapshot(1, 20)]
    expect(first['classifier.weight']?.shape).toEqual(last['classifier.weight']?.shape)

    const accuracy = async (arrays: typeof first) => {
      const state = loadStateDict(device, student, arrays)
      const logits = scope(() => {
        const images = tensor(device, toFloat(dataset, [...dataset.labels.keys()]), { shape: [dataset.count, 1, 8, 8] })
        return student.apply(new Params(state), normalize(images, manifest.normalization))
      })
      const values = await logits.read()
      const right = dataset.labels.filter((label, i) => values[2 * i + 1]! > values[2 * i]! === (label === 1))
      return right.length / dataset.count
    }
    expect(await accuracy(last)).toBeGreaterThan(0.9)
  })

  test('gives the same bits when it is killed at any write and run again', async () => {
    const whole = expertsInMemory()
    await trainExperts(optionsOf(whole))
    const expected = await contents(whole)
    // Manifest, four snapshots, manifest, four snapshots, manifest.
    for (const n of [2, 4, 6, 7, 11]) {
      const store = expertsInMemory()
      await expect(trainExperts(optionsOf(breakingAt(store, n)))).rejects.toThrow('killed')
      await trainExperts(optionsOf(store))
      expect(await contents(store)).toEqual(expected)
    }
  })

  test('with momentum, whose velocity is not saved, gives the same bits too', async () => {
    const [whole, broken] = [expertsInMemory(), expertsInMemory()]
    await trainExperts(optionsOf(whole, { momentum: 0.9 }))
    await expect(trainExperts(optionsOf(breakingAt(broken, 9), { momentum: 0.9 }))).rejects.toThrow('killed')
    await trainExperts(optionsOf(broken, { momentum: 0.9 }))
    expect(await contents(broken)).toEqual(await contents(whole))
  })

  test('stops at an abort, and adds experts to those that are there', async () => {
    const [whole, store] = [expertsInMemory(), expertsInMemory()]
    await trainExperts(optionsOf(whole))
    const controller = new AbortController()
    const onProgress: TrainExpertsOptions['onProgress'] = ({ epoch }) => {
      if (epoch === 2) controller.abort()
    }
    const aborted = trainExperts(optionsOf(store, { count: 1, signal: controller.signal, onProgress }))
    await expect(aborted).rejects.toMatchObject({ code: 'aborted' })
    expect((await trainExperts(optionsOf(store, { count: 1 }))).count).toBe(1)
    expect((await trainExperts(optionsOf(store, { count: 2 }))).count).toBe(2)
    expect(await contents(store)).toEqual(await contents(whole))
  })

  test('refuses to add experts of another training, and takes no snapshot of one', async () => {
    const store = expertsInMemory()
    await trainExperts(optionsOf(store, { count: 1 }))
    await expect(trainExperts(optionsOf(store, { learningRate: 0.2, seed: 1 }))).rejects.toThrow(
      /made otherwise: training.learningRate \(\S+ before, \S+ now\), training.seed \(\d before, \d now\)/,
    )
    // Without its manifest, what is left over has to be told by the files themselves.
    const [leftOver, expected] = [expertsInMemory(), expertsInMemory()]
    for (const name of NAMES.slice(1, 5)) await leftOver.write(name, (await store.read(name)) as Uint8Array)
    await trainExperts(optionsOf(leftOver, { seed: 1 }))
    await trainExperts(optionsOf(expected, { seed: 1 }))
    expect(await contents(leftOver)).toEqual(await contents(expected))
  })

  test('stops at a loss that is not finite', async () => {
    const plain = convNet({ channels: 1, size: 8, classes: 2, depth: 2, width: 4, norm: 'none' })
    const diverging = optionsOf(expertsInMemory(), { student: plain, learningRate: 1e30 })
    await expect(trainExperts(diverging)).rejects.toMatchObject({ code: 'numeric' })
  })

  test.each<[string, Partial<TrainExpertsOptions>, RegExp]>([
    ['no experts', { count: 0 }, /count is 0/],
    ['half an epoch', { epochs: 0.5 }, /epochs is 0.5/],
    ['a momentum of 1', { momentum: 1 }, /momentum is 1/],
    ['a negative decay', { weightDecay: -1 }, /weightDecay is -1/],
    ['a text of augmentations', { augmentation: 'color' } as object, /trainExperts: the augmentation is 'color'/],
    ['an unknown option', { steps: 1 } as object, /unknown option 'steps'/],
  ])('refuses %s', async (_, more, message) => {
    await expect(trainExperts(optionsOf(expertsInMemory(), more))).rejects.toThrow(message)
  })
})

describe('openExperts', () => {
  test('reads from a folder what was trained into it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ld3m-experts-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const memory = expertsInMemory()
    const path = join(folder, 'new', 'experts')
    await trainExperts(optionsOf(memory))
    const trained = await trainExperts(optionsOf(expertsFolder(path)))
    expect(await contents(expertsFolder(path))).toEqual(await contents(memory))
    expect((await readdir(path)).sort()).toEqual(['expert-0000', 'expert-0001', 'manifest.json'])
    const opened = await openExperts(expertsFolder(path))
    expect(opened.manifest).toEqual(trained.manifest)
    expect(await opened.snapshot(1, 2)).toEqual(await trained.snapshot(1, 2))
  })

  test('says what is wrong with what it finds', async () => {
    const store = expertsInMemory()
    const refused = (what: RegExp) => expect(openExperts(store)).rejects.toThrow(what)
    const put = (text: string) => store.write('manifest.json', new TextEncoder().encode(text))
    await refused(/no manifest.json.*trainExperts/)
    await put('{')
    await refused(/not JSON/)
    await put('{"format": "other"}')
    await refused(/format: /)
    const other = expertsInMemory()
    const { manifest } = await trainExperts(optionsOf(other))
    await put(JSON.stringify({ ...manifest, experts: [] }))
    await refused(/no finished expert/)
    await put(JSON.stringify({ ...manifest, experts: [{ files: ['a'], loss: [] }] }))
    await refused(/1 files of expert 0, for 3 epochs there are 4/)
    await put(JSON.stringify(manifest))
    const opened = await openExperts(store)
    await expect(opened.snapshot(0, 1)).rejects.toThrow(/no expert-0000\/epoch-01.safetensors/)
    await expect(opened.snapshot(0, 4)).rejects.toThrow(/no epoch 4 of expert 0/)
    await store.write('expert-0000/epoch-01.safetensors', new Uint8Array(3))
    await expect(opened.snapshot(0, 1)).rejects.toMatchObject({ code: 'data' })
  })
})
