import * as v from 'valibot'
import { dataError } from '../errors.ts'
import { includes } from './includes.ts'
import type { Kernel } from './kernel.ts'

/** Keeps what the tuner measured between runs. Keys are file names; texts are replaced as a whole. */
export interface TuningStore {
  load(key: string): Promise<string | undefined>
  save(key: string, text: string): Promise<void>
}

const FORMAT = 'ld3m-gpu tuning, version 1'

const record = v.object({
  /** The kernel, and a hash of its text: what was measured with another text does not count. */
  kernel: v.string(),
  hash: v.string(),
  /** The class of shapes. */
  shape: v.string(),
  /** The variant taken, by name, and the one that would be taken without measuring. */
  choice: v.string(),
  fallback: v.string(),
  /** Why it was taken. */
  reason: v.string(),
  /** Median milliseconds of a launch by variant; variants that did not compile are missing. */
  times: v.record(v.string(), v.pipe(v.number(), v.finite(), v.minValue(0))),
  /** False if timing was unreliable: then a later run measures again. */
  settled: v.boolean(),
})

const file = v.object({ format: v.literal(FORMAT), adapter: v.string(), choices: v.array(record) })

/** What the tuner found for one kernel and class of shapes. */
export type TuningRecord = Readonly<v.InferOutput<typeof record>>

/** What the tuner of one adapter found: plain data, to be kept as JSON and shipped. */
export interface TuningData {
  readonly format: typeof FORMAT
  /** Vendor, architecture, name and driver. */
  readonly adapter: string
  readonly choices: readonly TuningRecord[]
}

export const tuningData = (adapter: string, choices: readonly TuningRecord[]): TuningData => ({
  format: FORMAT,
  adapter,
  choices,
})

/**
 * Checks that `data` is what a tuner exported.
 * @throws Ld3mError `data` if it is not; the message names the first thing that is wrong
 */
export function parseTuning(data: unknown): TuningData {
  const result = v.safeParse(file, data)
  if (result.success) return result.output
  const [issue] = result.issues
  const path = v.getDotPath(issue)
  throw dataError(
    `This is no tuning data of this version: ${path === null ? '' : `at ${path}: `}${issue.message}.`,
    'Give what device.tuner.export() returned, or measure again.',
  )
}

/** The same for a text. */
export function parseTuningText(text: string): TuningData {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (cause) {
    throw dataError(`Tuning data is not JSON: ${(cause as Error).message}.`, 'Measure again.', cause)
  }
  return parseTuning(data)
}

/** FNV-1a, 32 bits, in hexadecimal: tells versions apart, no more. */
function hash(...texts: readonly string[]): string {
  let state = 0x811c9dc5
  for (const text of texts) {
    for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193)
    // Separates the texts.
    state = Math.imul(state ^ 0xffff, 0x01000193)
  }
  return (state >>> 0).toString(16).padStart(8, '0')
}

const hashes = new WeakMap<Kernel, string>()

/** Changes with the kernel's text and with every text that it may include. */
export function hashOf(kernel: Kernel): string {
  let found = hashes.get(kernel)
  if (found === undefined) {
    found = hash(kernel.source, ...Object.values(includes))
    hashes.set(kernel, found)
  }
  return found
}

/** Where an adapter's tuning lies in a store: a file name. */
export const storeKey = (adapter: string): string => `tuning-${hash(FORMAT, adapter)}.json`
