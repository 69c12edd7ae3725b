/** What every family of the bench shares: inputs, counting of work, timing, the table. */
import { Device, GpuBuffer } from '../src/gpu/index.ts'
import { toHalfBits } from '../src/io/index.ts'
import { median } from './median.ts'

// --- declaring rows -------------------------------------------------------------------------------------------------

/** What a row's launch reads: pseudo-random numbers, the same in every run. */
type Input = { readonly count: number; readonly half?: boolean } & (
  | { readonly low: number; readonly high: number }
  | { readonly below: number }
)

/** `count` f32 numbers between `low` and `high`. */
export const floats = (count: number, low = -1, high = 1): Input => ({ count, low, high })
/** The same in half precision. */
export const halves = (count: number): Input => ({ ...floats(count), half: true })
/** `count` i32 numbers from 0 to `below` − 1. */
export const integers = (count: number, below: number): Input => ({ count, below })

/** The buffers that a launch allocated; none for one that works in place. */
// biome-ignore lint/suspicious/noConfusingVoidType: an arrow function that calls such a launch gives void.
export type Output = GpuBuffer | Readonly<Record<string, GpuBuffer>> | void

type Launch<Name extends string = string> = (device: Device, inputs: Readonly<Record<Name, GpuBuffer>>) => Output

/** One line of the table. */
export interface Row {
  /** What is launched, by its function's name. */
  readonly name: string
  /** Sizes for people, such as "64×32×16² → 32". */
  readonly shape: string
  readonly inputs: Readonly<Record<string, Input>>
  readonly launch: Launch
}

export const row = <Name extends string>(
  name: string,
  shape: string,
  inputs: Readonly<Record<Name, Input>>,
  launch: Launch<Name>,
): Row => ({ name, shape, inputs, launch })

/** Kernels that belong together: one file in bench/families. */
export interface Family {
  readonly name: string
  /** @param quick tiny sizes, which only show that every kernel runs */
  readonly rows: (quick: boolean) => readonly Row[]
}

/** Rows for each of several sizes. */
export const rowsFor =
  <S>(sizes: { readonly full: readonly S[]; readonly quick: readonly S[] }, rows: (size: S) => readonly Row[]) =>
  (quick: boolean): readonly Row[] =>
    (quick ? sizes.quick : sizes.full).flatMap(rows)

/** A family of one or more lists of rows. */
export const family = (name: string, ...parts: readonly Family['rows'][]): Family => ({
  name,
  rows: (quick) => parts.flatMap((rows) => rows(quick)),
})

// --- running one row ------------------------------------------------------------------------------------------------

/** A row with its inputs made. */
class Prepared {
  readonly #inputs: Readonly<Record<string, GpuBuffer>>

  constructor(
    readonly device: Device,
    readonly row: Row,
  ) {
    const entries = Object.entries(row.inputs)
    this.#inputs = Object.fromEntries(entries.map(([name, input]) => [name, upload(device, input)]))
  }

  /** Records one launch. */
  launch(): void {
    const output = this.row.launch(this.device, this.#inputs)
    if (!output) return
    const buffers = output instanceof GpuBuffer ? [output] : Object.values(output)
    for (const buffer of buffers) this.device.release(buffer)
  }

  /** Records one launch and reports what it dispatched. */
  listen(): Dispatched {
    const kernels = new Set<string>()
    const variants = new Set<string>()
    let flops = 0
    let bytes = 0
    const { device } = this
    device.dispatch = (variant, buffers, params, grid, work) => {
      kernels.add(variant.kernel.name)
      variants.add(variant.label)
      flops += work?.flops ?? 0
      bytes += work?.bytes ?? 0
      Device.prototype.dispatch.call(device, variant, buffers, params, grid, work)
    }
    try {
      this.launch()
    } finally {
      // Uncovers the method again.
      Reflect.deleteProperty(device, 'dispatch')
    }
    return { kernels: [...kernels], variants: [...variants], flops, bytes }
  }

  dispose(): void {
    for (const buffer of Object.values(this.#inputs)) this.device.release(buffer)
  }
}

/** What one launch dispatched, as its functions state it. */
export interface Dispatched {
  /** Names of the kernels, in the order of their first dispatch. */
  readonly kernels: readonly string[]
  /** The same, with the constants of their variants. */
  readonly variants: readonly string[]
  readonly flops: number
  readonly bytes: number
}

function upload(device: Device, input: Input): GpuBuffer {
  let state = 1
  // A linear congruential generator: 0…1.
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const data =
    'below' in input
      ? Int32Array.from({ length: input.count }, () => Math.floor(next() * input.below))
      : Float32Array.from({ length: input.count }, () => input.low + (input.high - input.low) * next())
  const stored = input.half ? toHalfBits(data as Float32Array) : data
  const buffer = device.alloc(Math.max(4, stored.byteLength))
  device.upload(buffer, stored)
  return buffer
}

/** Whether the adapter has what the row needs. */
export const runs = (device: Device, { inputs }: Row): boolean =>
  device.info.features.has('shader-f16') || !Object.values(inputs).some(({ half }) => half)

/** Runs a row once, untimed, and reports what it dispatched. */
export async function runOnce(device: Device, row: Row): Promise<Dispatched> {
  const prepared = new Prepared(device, row)
  try {
    const dispatched = prepared.listen()
    await device.synchronize()
    return dispatched
  } finally {
    prepared.dispose()
  }
}

// --- timing ---------------------------------------------------------------------------------------------------------

/** By the GPU's timestamps around each dispatch, or by the wall clock around many launches. */
export type Clock = 'timestamps' | 'wall'

export const clockOf = (device: Device): Clock => (device.info.features.has('timestamp-query') ? 'timestamps' : 'wall')

/** Milliseconds that `count` launches take. */
async function time(prepared: Prepared, count: number): Promise<number> {
  const { device } = prepared
  const run = () => {
    for (let i = 0; i < count; i++) prepared.launch()
  }
  if (clockOf(device) === 'timestamps') {
    const { rows } = await device.profile(run)
    return rows.reduce((sum, { ms }) => sum + ms, 0)
  }
  const start = performance.now()
  run()
  await device.synchronize()
  return performance.now() - start
}

/** Launches are repeated until a sample takes this long … */
const SAMPLE_MS = 25
/** … but not more often than this. */
const MAX_LAUNCHES = 200
/** A GPU that idled, as while a kernel compiled, runs at low clocks: it is kept busy this long before it is timed. */
const WARM_UP_MS = 100
const SAMPLES = 5
/** Slow rows get fewer samples, at least one: about this long for a row. */
const ROW_MS = 500

const within = (low: number, value: number, high: number) => Math.max(low, Math.min(value, high))

/** A row of the JSON file. */
export interface Measurement {
  readonly family: string
  readonly name: string
  /** The kernel variants that ran, joined by " + ". */
  readonly kernel: string
  readonly shape: string
  /** Of one launch: the median over samples of a sample's mean. */
  readonly ms: number
  readonly gflops: number
  readonly gbs: number
}

/** Launches until a GPU has been busy for a while. Software adapters have no clocks of their own. */
async function warmUp(prepared: Prepared): Promise<void> {
  const { device } = prepared
  const start = performance.now()
  while (performance.now() - start < WARM_UP_MS) {
    for (let i = 0; i < MAX_LAUNCHES && performance.now() - start < WARM_UP_MS; i++) prepared.launch()
    await device.synchronize()
  }
}

/** Times a row: one launch to compile, one to see how many launches make a sample, then the samples. */
export async function measure(device: Device, family: string, row: Row, quick: boolean): Promise<Measurement> {
  const prepared = new Prepared(device, row)
  try {
    const { variants, flops, bytes } = prepared.listen()
    await device.synchronize()
    if (!quick && !device.info.software) await warmUp(prepared)
    const once = await time(prepared, 1)
    const launches = quick ? 1 : within(1, Math.round(SAMPLE_MS / once), MAX_LAUNCHES)
    const samples = quick ? 1 : within(1, Math.floor(ROW_MS / (launches * once)), SAMPLES)
    // A launch that is slow by itself is not run a third time.
    const times = !quick && once > ROW_MS ? [once] : []
    while (times.length < samples) times.push((await time(prepared, launches)) / launches)
    const ms = median(times)
    const { name, shape } = row
    const rates = { gflops: flops / ms / 1e6, gbs: bytes / ms / 1e6 }
    return { family, name, kernel: variants.join(' + '), shape, ms, ...rates }
  } finally {
    prepared.dispose()
  }
}

// --- table ----------------------------------------------------------------------------------------------------------

const line = (family: string, name: string, shape: string, time: string, gflops: string, gbs: string): string =>
  `${family.padEnd(14)} ${name.padEnd(26)} ${shape.padEnd(32)} ${time.padStart(10)} ${gflops.padStart(9)} ${gbs.padStart(8)}`

export const tableHead = (): string => line('family', 'launch', 'shape', 'time', 'GFLOP/s', 'GB/s')

export function tableRow({ family, name, shape, ms, gflops, gbs }: Measurement): string {
  const time = ms < 1 ? `${(ms * 1000).toFixed(1)} µs` : `${ms.toFixed(2)} ms`
  return line(family, name, shape, time, gflops > 0 ? gflops.toFixed(2) : '–', gbs.toFixed(2))
}
