import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import {
  type Contest,
  type Device,
  type DeviceOptions,
  type GpuBuffer,
  kernels as registered,
  type TuningData,
  type TuningStore,
} from '../../src/gpu/index.ts'
import * as kernels from '../../src/kernels/index.ts'
import { openDevice, tuningFolder } from '../../src/node/index.ts'
import { byCandidate, expectSameBits, numbers as random, upload } from '../support/variants.ts'

const opened: Device[] = []
const open = async (options: DeviceOptions): Promise<Device> => {
  const device = await openDevice(options)
  opened.push(device)
  return device
}
afterAll(() => {
  for (const device of opened) device.destroy()
})

const numbers = (device: Device, count: number, seed: number): GpuBuffer => upload(device, random(count, seed))

const size = fc.integer({ min: 1, max: 20 })

describe.each<[string, DeviceOptions]>([
  ['on this adapter', {}],
  ['as on a GPU', { likeHardware: true }],
])('all variants that the tuner knows give the same bits, %s', (_, options) => {
  const device = open({ ...options, tune: { share: 0 } })

  test('products', async () => {
    const shapes = fc.record({
      batches: fc.integer({ min: 1, max: 3 }),
      m: size,
      n: size,
      k: fc.integer({ min: 1, max: 600 }),
    })
    await fc.assert(
      fc.asyncProperty(shapes, fc.boolean(), fc.boolean(), async (shape, transposeA, transposeB) => {
        const own = await device
        const { batches, m, n, k } = shape
        const [a, b] = [numbers(own, batches * m * k, 1), numbers(own, batches * k * n, 2)]
        const launch = () => kernels.matmul(own, a, b, { ...shape, transposeA, transposeB })
        expectSameBits(await byCandidate(own, batches * m * n, launch))
        for (const buffer of [a, b]) own.release(buffer)
      }),
      { numRuns: 3 },
    )
  })

  test('convolutions and their gradients', async () => {
    const shapes = fc.record({
      ...{ n: fc.integer({ min: 1, max: 3 }), c: size, o: size },
      ...{ h: fc.integer({ min: 3, max: 12 }), w: fc.integer({ min: 3, max: 12 }) },
      ...{ kernel: fc.constantFrom(1, 3), stride: fc.constantFrom(1, 2) },
    })
    await fc.assert(
      fc.asyncProperty(shapes, async ({ n, c, o, h, w, kernel, stride }) => {
        const own = await device
        const pad = kernel >> 1
        const [ho, wo] = [h, w].map((side) => Math.floor((side + 2 * pad - kernel) / stride) + 1) as [number, number]
        const sizes = { n, c, h, w, o, ho, wo, kh: kernel, kw: kernel, stride, top: pad, left: pad }
        const x = numbers(own, n * c * h * w, 1)
        const weight = numbers(own, o * c * kernel * kernel, 2)
        const grad = numbers(own, n * o * ho * wo, 3)
        expectSameBits(await byCandidate(own, n * o * ho * wo, () => kernels.conv2d(own, x, weight, sizes)))
        expectSameBits(await byCandidate(own, n * c * h * w, () => kernels.conv2dInputGrad(own, grad, weight, sizes)))
        expectSameBits(
          await byCandidate(own, o * c * kernel * kernel, () => kernels.conv2dWeightGrad(own, x, grad, sizes)),
        )
        for (const buffer of [x, weight, grad]) own.release(buffer)
      }),
      { numRuns: 3 },
    )
  })
})

/** A product that the tuner is asked about. */
function multiply(device: Device): void {
  const [a, b] = [numbers(device, 32 * 32, 1), numbers(device, 32 * 32, 2)]
  device.release(
    kernels.matmul(device, a, b, { batches: 1, m: 32, n: 32, k: 32, transposeA: false, transposeB: false }),
  )
  for (const buffer of [a, b]) device.release(buffer)
}

async function measured(options: DeviceOptions['tune'] & object = {}): Promise<Device> {
  const device = await open({ tune: options })
  multiply(device)
  await device.tuner.finish()
  return device
}

/** As it comes out of a file, with every result settled: a busy machine may have made timing unreliable. */
function shipped(device: Device): TuningData {
  const data = JSON.parse(JSON.stringify(device.tuner.export())) as TuningData
  return { ...data, choices: data.choices.map((record) => ({ ...record, settled: true })) }
}

test('times each variant of what was launched, and leaves no memory behind', async () => {
  const device = await measured()
  expect(device.tuner).toMatchObject({ pending: 0, problems: [] })
  const { choices } = device.tuner.export()
  expect(choices).toHaveLength(1)
  const { kernel, choice, times } = choices[0]!
  expect(kernel).toBe('matmul')
  expect(Object.keys(times).length).toBeGreaterThan(2)
  expect(Object.keys(times)).toContain(choice)
  for (const ms of Object.values(times)) expect(ms).toBeGreaterThan(0)
  expect(device.memory.current).toBe(0)
})

test('finds a variant that takes a small part of the time', async () => {
  const device = await measured()
  const [a, b] = [numbers(device, 256 * 256, 1), numbers(device, 256 * 256, 2)]
  const sizes = { batches: 1, m: 256, n: 256, k: 256, transposeA: false, transposeB: false }
  const choose = () =>
    device.tuner.choose(registered.get('gemm_join')!, 'of this test', 'often', 1, () => ({
      candidates: [
        ['often', 'often'],
        ['once', 'once'],
      ],
      inputs: [4 * 256 * 256, 4 * 256 * 256],
      launch: ([a, b], name) => {
        for (let i = name === 'often' ? 19 : 0; i > 0; i--) device.release(kernels.matmul(device, a!, b!, sizes))
        return kernels.matmul(device, a!, b!, sizes)
      },
    }))
  expect(choose()).toBe('often')
  await device.tuner.finish()
  expect(choose()).toBe('once')
  for (const buffer of [a, b]) device.release(buffer)
})

test('takes what another exported, and measures it no more', async () => {
  const data = shipped(await measured())
  const [name] = Object.keys(data.choices[0]!.times).filter((variant) => variant !== data.choices[0]!.fallback)
  const choices = [{ ...data.choices[0]!, choice: name! }]
  for (const tune of ['off', { share: 1 }] as const) {
    const device = await open({ tune })
    expect(device.tuner.import({ ...data, choices })).toEqual({ taken: 1, ignored: [] })
    expect(chosen(device)).toBe(name)
    expect(device.tuner.pending).toBe(0)
  }
})

/** Which of the variants `multiply` takes. */
function chosen(device: Device): string | undefined {
  let found: string | undefined
  const { choose } = device.tuner
  device.tuner.choose = (kernel, shape, fallback, work, contest) => {
    const value = choose.call(
      device.tuner,
      kernel,
      shape,
      fallback,
      work,
      contest as () => Contest<unknown>,
    ) as typeof fallback
    const { candidates } = contest()
    found = candidates.find(([, candidate]) => JSON.stringify(candidate) === JSON.stringify(value))?.[0]
    return value
  }
  multiply(device)
  Reflect.deleteProperty(device.tuner, 'choose')
  return found
}

test('ignores what was measured on another adapter, or with another text of the kernel', async () => {
  const data = shipped(await measured())
  const device = await open({ tune: { share: 0 } })
  expect(device.tuner.import({ ...data, adapter: 'another' })).toMatchObject({ taken: 0, ignored: [/another adapter/] })
  device.tuner.import({ ...data, choices: [{ ...data.choices[0], hash: '0' }] })
  multiply(device)
  expect(device.tuner.pending).toBe(1)
})

test.each([undefined, 'text', {}, { format: 'x' }])('refuses to import %j', async (data) => {
  const device = await open({})
  expect(() => device.tuner.import(data)).toThrow(/no tuning data/)
})

test('measures nothing by default, and takes nothing where results are to be the same by decree', async () => {
  const data = shipped(await measured())
  for (const options of [{}, { tune: {}, deterministic: true }]) {
    const device = await open(options)
    multiply(device)
    await device.synchronize()
    await device.tuner.finish()
    expect(device.tuner).toMatchObject({ pending: 0, spent: 0, idle: true })
  }
  const pinned = await open({ deterministic: true })
  expect(pinned.tuner.import(data)).toMatchObject({ taken: 0, ignored: [/deterministic/] })
})

test('never measures where its share is nothing, and refuses a share of more than all', async () => {
  const device = await open({ tune: { share: 0 } })
  multiply(device)
  await device.synchronize()
  expect(device.tuner).toMatchObject({ pending: 1, spent: 0 })
  await expect(openDevice({ tune: { share: 1.5 } })).rejects.toThrow(/share is 1.5/)
  await expect(openDevice({ tune: 'yes' as 'on' })).rejects.toThrow(/tune is 'yes'/)
  await expect(openDevice({ tune: { shore: 1 } as object })).rejects.toThrow(/unknown option 'shore'/)
})

describe('a store', () => {
  test('keeps results for the next device', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ld3m-tuning-'))
    try {
      const inner = join(folder, 'made when needed')
      const first = await measured({ store: tuningFolder(inner) })
      const files = await readdir(inner)
      expect(files).toEqual([expect.stringMatching(/^tuning-[0-9a-f]{8}\.json$/)])
      const next = await open({ tune: { share: 0, store: tuningFolder(inner) } })
      expect(next.tuner.export()).toEqual(first.tuner.export())
      await writeFile(join(inner, files[0]!), '{ "half": ')
      const damaged = await measured({ store: tuningFolder(inner) })
      expect(damaged.tuner.problems).toEqual([expect.stringMatching(/not JSON/)])
      const healed = await open({ tune: { share: 0, store: tuningFolder(inner) } })
      expect(healed.tuner.export()).toEqual(damaged.tuner.export())
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('keeps what other processes wrote', async () => {
    const texts = new Map<string, string>()
    const store: TuningStore = {
      load: async (key) => texts.get(key),
      save: async (key, text) => void texts.set(key, text),
    }
    const device = await open({ tune: { store } })
    const { tuner } = await measured({ store })
    const [key] = texts.keys()
    const foreign = { ...tuner.export().choices[0]!, shape: 'of another process' }
    texts.set(key!, JSON.stringify({ ...tuner.export(), choices: [foreign] }))
    multiply(device)
    await device.tuner.finish()
    const stored = JSON.parse(texts.get(key!)!) as TuningData
    expect(stored.choices.map(({ shape }) => shape).sort()).toEqual(
      [...new Set(stored.choices.map(({ shape }) => shape))].sort(),
    )
    expect(stored.choices).toContainEqual(foreign)
    expect(stored.choices).toHaveLength(2)
  })

  test('that fails is a problem to read about, not an error', async () => {
    const store: TuningStore = {
      load: () => Promise.reject(new Error('no disk')),
      save: () => Promise.reject(new Error('no disk')),
    }
    const { tuner } = await measured({ store })
    expect(tuner.problems).toEqual([
      expect.stringMatching(/not used: no disk/),
      expect.stringMatching(/not stored: no disk/),
    ])
    expect(tuner.export().choices).toHaveLength(1)
  })
})
