import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Device, type GpuBuffer, Kernel } from '../../src/gpu/index.ts'
import { openDevice } from '../../src/node/index.ts'
import { testDevice } from '../support/device.ts'

let device: Device
let other: Device
beforeAll(async () => {
  device = await testDevice()
  other = await openDevice({ forceUniforms: true, keepBytes: 0 })
})
afterAll(() => other.destroy())

/** Words of a buffer: more than a small upload has. */
const WORDS = 8192

const kernelOf = (name: string) =>
  new Kernel(
    name,
    `struct Params { count: u32, add: u32 }
#params Params
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.count) { y[id.x] = y[id.x] * 3u + x[id.x] + params.add; }
}`,
  )

type Step =
  | { do: 'upload'; to: number; word: number; bytes: number; seed: number }
  | { do: 'copy'; from: number; to: number; word: number; words: number }
  | { do: 'clear'; to: number; words: number }
  | { do: 'dispatch'; from: number; to: number; add: number }
  | { do: 'read'; from: number }
  | { do: 'flush' }

const buffer = fc.nat(2)
/** Two buffers that differ. */
const pair = fc.tuple(buffer, fc.integer({ min: 1, max: 2 })).map(([from, by]) => ({ from, to: (from + by) % 3 }))
/** Small uploads mostly, some not of whole words, and some too large to be gathered. */
const uploadBytes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: 8000, max: 16_384 }) },
  { weight: 1, arbitrary: fc.integer({ min: 16_385, max: 20_000 }) },
)
const upload = fc.record({
  do: fc.constant('upload' as const),
  to: buffer,
  word: fc.nat(WORDS - 5001),
  bytes: uploadBytes,
  seed: fc.nat(1e6),
})
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: upload },
  {
    weight: 3,
    arbitrary: fc
      .record({ pair, word: fc.nat(WORDS - 101), words: fc.nat(100) })
      .map(({ pair, ...rest }) => ({ do: 'copy' as const, ...pair, ...rest })),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('clear' as const), to: buffer, words: fc.nat(WORDS) }) },
  {
    weight: 4,
    arbitrary: fc
      .record({ pair, add: fc.nat(1e6) })
      .map(({ pair, add }) => ({ do: 'dispatch' as const, ...pair, add })),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('read' as const), from: buffer }) },
  { weight: 1, arbitrary: fc.constant({ do: 'flush' as const }) },
)

const contents = (bytes: number, seed: number) =>
  Uint8Array.from({ length: bytes }, (_, i) => (Math.imul(seed + i, 2_654_435_761) >>> 24) & 255)

/** Runs the steps on the device and on arrays, and compares what is read on the way and at the end. */
async function compare(device: Device, kernel: Kernel, steps: readonly Step[]): Promise<void> {
  const buffers = [0, 1, 2].map(() => device.alloc(4 * WORDS))
  const model = buffers.map(() => new Uint32Array(WORDS))
  for (const b of buffers) device.clear(b, 4 * WORDS)
  const reads: Promise<void>[] = []
  const read = (from: number) => {
    const expected = (model[from] as Uint32Array).slice()
    reads.push(
      device.read(buffers[from]!, 4 * WORDS).then((data) => {
        // The first word that differs: to compare whole arrays takes long.
        expect(new Uint32Array(data).findIndex((word, i) => word !== expected[i])).toBe(-1)
      }),
    )
  }
  for (const s of steps) {
    if (s.do === 'upload') {
      // In the middle of a larger array, and changed at once.
      const bytes = contents(s.bytes, s.seed)
      const data = new Uint8Array(s.bytes + 9).fill(255)
      data.set(bytes, 5)
      device.upload(buffers[s.to]!, data.subarray(5, 5 + s.bytes), 4 * s.word)
      data.fill(7)
      const target = new Uint8Array(model[s.to]!.buffer, 4 * s.word, Math.ceil(s.bytes / 4) * 4)
      target.fill(0).set(bytes)
    } else if (s.do === 'copy') {
      const at = WORDS - 100 - Math.ceil(s.word / 2)
      device.copy(buffers[s.from]!, 4 * s.word, buffers[s.to]!, 4 * at, 4 * s.words)
      model[s.to]!.set(model[s.from]!.subarray(s.word, s.word + s.words), at)
    } else if (s.do === 'clear') {
      device.clear(buffers[s.to]!, 4 * s.words)
      model[s.to]!.fill(0, 0, s.words)
    } else if (s.do === 'dispatch') {
      const params = { count: WORDS, add: s.add }
      device.dispatch(kernel.variant(), [buffers[s.from]!, buffers[s.to]!], params, [WORDS / 64, 1, 1])
      const [x, y] = [model[s.from]!, model[s.to]!]
      for (let i = 0; i < WORDS; i++) y[i] = Math.imul(y[i]!, 3) + x[i]! + s.add
    } else if (s.do === 'read') read(s.from)
    else device.flush()
  }
  for (const from of [0, 1, 2]) read(from)
  await Promise.all(reads)
  for (const b of buffers) device.release(b)
}

describe.each([
  ['with immediates, where there are any', () => device],
  ['with uniforms, keeping no buffers', () => other],
] as const)('uploads %s', (label, current) => {
  test('keep their place among copies, kernels and reads', async () => {
    const kernel = kernelOf(`model ${label}`)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => compare(current(), kernel, steps)),
      { numRuns: 30 },
    )
  })

  test('keep it in batches that wait for a kernel to compile, too', async () => {
    const kernel = kernelOf(`cold ${label}`)
    const steps = Array.from({ length: 700 }, (_, i): Step => {
      if (i % 3 === 2) return { do: 'dispatch', from: i % 2, to: 2, add: i }
      return { do: 'upload', to: i % 3, word: i, bytes: i % 50 === 0 ? 18_000 : 4 + i, seed: i }
    })
    await compare(current(), kernel, steps)
  })

  test('of the largest gathered size fill several batches', async () => {
    const steps = Array.from({ length: 600 }, (_, i): Step => {
      return { do: 'upload', to: i % 3, word: i, bytes: 16_384, seed: i }
    })
    await compare(current(), kernelOf(`many ${label}`), steps)
  })
})

/** Submissions to the queue while `record` runs and is waited for. */
async function submissions(record: () => void): Promise<number> {
  await device.synchronize()
  const { queue } = device.handle
  const submit = vi.spyOn(queue, 'submit')
  try {
    record()
    await device.synchronize()
    return submit.mock.calls.length
  } finally {
    submit.mockRestore()
  }
}

test('small uploads do not part a batch, and large ones do', async () => {
  const [x, y] = [device.alloc(4 * WORDS), device.alloc(4 * WORDS)] as [GpuBuffer, GpuBuffer]
  const variant = kernelOf('apart').variant()
  await device.compile(variant)
  const upload = (bytes: number) => () => {
    for (let i = 0; i < 100; i++) {
      device.upload(x, new Uint8Array(bytes))
      device.dispatch(variant, [x, y], { count: 1, add: i }, [1, 1, 1])
    }
  }
  expect(await submissions(upload(16))).toBe(1)
  expect(await submissions(upload(16_384))).toBe(1)
  expect(await submissions(upload(20_000))).toBe(101)
  device.release(x)
  device.release(y)
})
