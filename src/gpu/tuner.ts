import { Ld3mError, optionError, rejectUnknownOptions } from '../errors.ts'
import { indexedDbStore } from './indexed-db.ts'
import type { Kernel } from './kernel.ts'
import { type Contest, Trial } from './trial.ts'
import {
  hashOf,
  parseTuning,
  parseTuningText,
  storeKey,
  type TuningData,
  type TuningRecord,
  type TuningStore,
  tuningData,
} from './tuning.ts'
import type { Workbench } from './workbench.ts'

export interface TunerOptions {
  /** Where results are kept between runs. Default: nowhere. */
  readonly store?: TuningStore | undefined
  /** The part of the time since the device was opened that measuring may take, 0 to 1. Default 0.05. */
  readonly share?: number
}

/**
 * How a tuner works: 'on' measures; 'off' measures nothing and reads no store, but takes what is imported; 'pinned'
 * takes the defaults whatever it is given.
 */
export type TunerMode = 'on' | 'off' | 'pinned'

/**
 * What the options of a device say about its tuner.
 * @throws Ld3mError `option` if one of them is unknown or out of range
 */
export function tunerSettings(
  tune: 'off' | 'on' | TunerOptions,
  deterministic: boolean,
): { mode: TunerMode; options: TunerOptions } {
  if (typeof tune === 'string' && tune !== 'on' && tune !== 'off') {
    throw optionError(`tune is '${tune as string}'.`, "Use 'on', 'off', or an object with store and share.")
  }
  const options = tune === 'off' ? {} : tune === 'on' ? { store: indexedDbStore() } : tune
  rejectUnknownOptions('tune', options, ['store', 'share'])
  const { share = 0 } = options
  if (!(share >= 0 && share <= 1)) throw optionError(`tune: share is ${share}.`, 'Use a number from 0 to 1.')
  return { mode: deterministic ? 'pinned' : tune === 'off' ? 'off' : 'on', options }
}

/** What an import did. */
export interface ImportReport {
  /** Results taken over. */
  readonly taken: number
  /** One line for each reason why others were not. */
  readonly ignored: readonly string[]
}

/** One kernel at one class of shapes. */
interface Subject {
  readonly kernel: Kernel
  readonly shape: string
  /** What launches take; undefined until it is measured. */
  choice: { readonly value: unknown } | undefined
  /** To be measured; undefined if there is nothing to do. */
  trial: Trial | undefined
  /** Operations of its launches so far: those that cost most are measured first. */
  work: number
}

const DEFAULT_SHARE = 0.05

/** Before the first step of a kind, this is taken as its duration, in milliseconds: on a GPU, on a software adapter. */
const FIRST_STEP = { compile: [200, 1000], round: [100, 500] } as const

/**
 * Chooses between variants of kernels that give the same result, by measuring them on this device.
 *
 * Launch functions ask with `choose`, which answers at once: with what is known, else with the default. Measuring is
 * done where the caller waits for the device anyway (`synchronize`, `read`), after the caller's work, in steps of one
 * compilation or one round of timings, and only while all steps together stay below a share of the time since the
 * device was opened.
 */
export class Tuner {
  readonly #subjects = new Map<Kernel, Map<string, Subject>>()
  readonly #records = new Map<string, TuningRecord>()
  readonly #problems: string[] = []
  readonly #opened = performance.now()
  readonly #longest = { compile: 0, round: 0 }
  readonly #store: TuningStore | undefined
  readonly #share: number
  #spent = 0
  #running: Promise<void> | undefined
  #unsaved = false

  constructor(
    readonly bench: Workbench,
    /** Vendor, architecture, name and driver of the adapter, and how kernels are chosen for it. */
    readonly adapter: string,
    readonly mode: TunerMode,
    { store, share = DEFAULT_SHARE }: TunerOptions,
  ) {
    this.#store = mode === 'on' ? store : undefined
    this.#share = share
    this.#longest = {
      compile: FIRST_STEP.compile[bench.device.info.software ? 1 : 0],
      round: FIRST_STEP.round[bench.device.info.software ? 1 : 0],
    }
  }

  /** Milliseconds spent on measuring so far. */
  get spent(): number {
    return this.#spent
  }

  /** Kernels and classes of shapes that are still to be measured. */
  get pending(): number {
    let count = 0
    for (const subjects of this.#subjects.values()) for (const { trial } of subjects.values()) if (trial) count++
    return count
  }

  /** Why a store or what it held was not used, or a measurement failed. */
  get problems(): readonly string[] {
    return this.#problems
  }

  /** Whether `choose` can answer anything but the default: if not, launches need not ask. */
  get idle(): boolean {
    return this.mode === 'pinned' || (this.mode === 'off' && this.#records.size === 0)
  }

  /**
   * The variant to launch.
   * @param shape the class of shapes
   * @param fallback the default
   * @param work operations of this launch
   * @param contest the variants; called once a class. All must give the same result
   */
  choose<T>(kernel: Kernel, shape: string, fallback: T, work: number, contest: () => Contest<T>): T {
    if (this.idle || work === 0) return fallback
    let subjects = this.#subjects.get(kernel)
    if (!subjects) this.#subjects.set(kernel, (subjects = new Map()))
    let subject = subjects.get(shape)
    if (!subject) {
      subject = this.#meet(kernel, shape, contest())
      subjects.set(shape, subject)
    }
    subject.work += work
    return subject.choice ? (subject.choice.value as T) : fallback
  }

  #meet<T>(kernel: Kernel, shape: string, contest: Contest<T>): Subject {
    const known = this.#records.get(nameOf(kernel.name, hashOf(kernel), shape))
    const found = known && contest.candidates.find(([name]) => name === known.choice)
    const measure = this.mode === 'on' && contest.candidates.length > 1 && !(found && known.settled)
    return {
      ...{ kernel, shape, work: 0 },
      choice: found && { value: found[1] },
      trial: measure ? (new Trial(contest) as Trial<unknown>) : undefined,
    }
  }

  /** Measures as much as the share allows now. Never throws: what goes wrong is in `problems`. */
  async advance(): Promise<void> {
    if (this.mode !== 'on' || this.#running) return
    await this.#run((kind) => {
      const allowed = this.#share * (performance.now() - this.#opened)
      return this.#spent + this.#longest[kind] <= allowed
    })
  }

  /** Measures everything that is pending, however long that takes, unless the device is used meanwhile. */
  async finish(): Promise<void> {
    if (this.mode !== 'on') return
    await this.#running
    await this.#run(() => true)
  }

  async #run(allows: (kind: 'compile' | 'round') => boolean): Promise<void> {
    this.#running = this.#measure(allows)
    try {
      await this.#running
    } catch (error) {
      // A lost or destroyed device says so itself, at the caller's next command.
      this.#problems.push(`measuring stopped: ${(error as Error).message}`)
    } finally {
      this.#running = undefined
    }
  }

  async #measure(allows: (kind: 'compile' | 'round') => boolean): Promise<void> {
    for (let subject = this.#dearest(); subject; subject = this.#dearest()) {
      const trial = subject.trial as Trial
      const kind = trial.next
      if (kind === 'done') {
        this.#conclude(subject, trial)
        continue
      }
      if (!this.bench.device.usable || !allows(kind)) break
      const start = performance.now()
      try {
        if (!(await trial.step(this.bench))) break
      } catch (error) {
        subject.trial = undefined
        throw error
      } finally {
        const ms = performance.now() - start
        this.#spent += ms
        this.#longest[kind] = Math.max(this.#longest[kind], ms)
      }
    }
    if (this.#unsaved) await this.#save()
  }

  /** Of what is to be measured, that whose launches cost most; a trial that has begun is ended first. */
  #dearest(): Subject | undefined {
    let best: Subject | undefined
    for (const subjects of this.#subjects.values()) {
      for (const subject of subjects.values()) {
        if (subject.trial?.begun) return subject
        if (subject.trial && !(best && best.work >= subject.work)) best = subject
      }
    }
    return best
  }

  #conclude(subject: Subject, trial: Trial): void {
    const { kernel, shape } = subject
    const { choice, reason, times, settled } = trial.verdict()
    const { candidates } = trial.contest
    const [fallback] = candidates[0] as readonly [string, unknown]
    const value = candidates.find(([name]) => name === choice)?.[1]
    subject.choice = { value }
    subject.trial = undefined
    this.#add({ kernel: kernel.name, hash: hashOf(kernel), shape, choice, fallback, reason, times, settled })
    this.#unsaved = true
  }

  #add(record: TuningRecord): void {
    this.#records.set(nameOf(record.kernel, record.hash, record.shape), record)
  }

  /** What was measured, loaded and imported so far. */
  export(): TuningData {
    return tuningData(this.adapter, [...this.#records.values()])
  }

  /**
   * Takes over what a tuner exported, in place of what is known: plain data, such as parsed JSON. Results for another
   * adapter or for other kernel texts are ignored; a variant that does not exist any more counts as not measured.
   * @throws Ld3mError `data` if it is no tuning data
   */
  import(data: unknown): ImportReport {
    return this.#take(parseTuning(data))
  }

  #take({ adapter, choices }: TuningData): ImportReport {
    const all = (why: string) => ({ taken: 0, ignored: [`all ${choices.length}: ${why}`] })
    if (this.mode === 'pinned') return all('the device was opened with deterministic: true')
    if (adapter !== this.adapter) return all(`measured on another adapter (${adapter})`)
    for (const record of choices) {
      this.#add(record)
      // Launches that were chosen before choose again.
      for (const [kernel, subjects] of this.#subjects) if (kernel.name === record.kernel) subjects.delete(record.shape)
    }
    return { taken: choices.length, ignored: [] }
  }

  /** Reads the store. Never throws: a store that cannot be read is as good as none. */
  async load(): Promise<void> {
    try {
      const text = await this.#store?.load(storeKey(this.adapter))
      if (text !== undefined) this.#problems.push(...this.#take(parseTuningText(text)).ignored)
    } catch (error) {
      this.#problems.push(`what was stored is not used: ${(error as Error).message}`)
    }
  }

  /** Writes everything known, with what other processes wrote meanwhile. */
  async #save(): Promise<void> {
    this.#unsaved = false
    if (!this.#store) return
    const key = storeKey(this.adapter)
    try {
      const records = new Map(this.#records)
      for (const other of await this.#stored(key)) {
        const name = nameOf(other.kernel, other.hash, other.shape)
        if (!records.has(name)) records.set(name, other)
      }
      await this.#store.save(key, `${JSON.stringify(tuningData(this.adapter, [...records.values()]), null, 1)}\n`)
    } catch (error) {
      this.#problems.push(`results were not stored: ${(error as Error).message}`)
    }
  }

  async #stored(key: string): Promise<readonly TuningRecord[]> {
    const text = await this.#store?.load(key)
    if (text === undefined) return []
    try {
      const { adapter, choices } = parseTuningText(text)
      return adapter === this.adapter ? choices : []
    } catch (error) {
      // What is damaged is replaced.
      if (error instanceof Ld3mError) return []
      throw error
    }
  }
}

const nameOf = (kernel: string, hash: string, shape: string): string => `${kernel} ${hash} ${shape}`
