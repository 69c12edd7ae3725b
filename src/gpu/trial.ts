import type { GpuBuffer } from './pool.ts'
import type { Workbench } from './workbench.ts'

/** Variants of one kernel that give the same result, and how to launch them to compare them. */
export interface Contest<T> {
  /** By name. The first is what is taken without measuring. */
  readonly candidates: readonly (readonly [name: string, choice: T])[]
  /** Bytes of each input of a launch. Its buffers hold zeros. */
  readonly inputs: readonly number[]
  /** Records a launch; the result is released afterwards. */
  readonly launch: (inputs: readonly GpuBuffer[], choice: T) => GpuBuffer
}

export interface Verdict {
  /** Name of the candidate to take. */
  readonly choice: string
  readonly reason: string
  /** Median milliseconds of a launch by candidate. */
  readonly times: Readonly<Record<string, number>>
  /** False if timing was unreliable. */
  readonly settled: boolean
}

/**
 * Rounds, in each of which every candidate is timed once: what slows the machine down for a while hits all alike. A
 * candidate that wins goes through as many again, alone with the default.
 */
const ROUNDS = 5
/** A candidate replaces the default if it takes at most this part of its time, by the median over rounds … */
const MARGIN = 0.95
/** … and is faster in so many rounds. */
const ROUNDS_WON = 4
/** After two rounds, candidates that took so many times the default's time in both are out. */
const HOPELESS = 1.25
/**
 * Where the middle half of the default's times spreads over more than this part of their median, timing is unreliable:
 * a candidate must then gain more than that spread, in every round.
 */
const MOST_SPREAD = 0.3
/** Launches are repeated until a sample takes this long … */
const SAMPLE_MS = 10
/** … but not more often than this. */
const MOST_LAUNCHES = 40

const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b)

const median = (values: readonly number[]): number => sorted(values)[values.length >> 1] as number

/** The part of the median over which the middle half of five or more values spreads. */
function spreadOf(values: readonly number[]): number {
  const ascending = sorted(values)
  const quarter = ascending.length >> 2
  const [low, high] = [ascending[quarter] as number, ascending[ascending.length - 1 - quarter] as number]
  return (high - low) / median(values)
}

/** How a candidate did against the default: the median over rounds of its part of the default's time, and rounds won. */
interface Winner {
  readonly name: string
  readonly ratio: number
  readonly won: number
}

const isUnreliable = (spread: number, best: Winner | undefined): boolean =>
  spread > MOST_SPREAD && !(best && 1 - best.ratio >= spread && best.won === ROUNDS)

/** Finds out which candidate of a contest is the fastest, in steps: one a candidate that compiles it, then the rounds. */
export class Trial<T = unknown> {
  /** Of candidates that compiled and are not hopeless, in order: milliseconds a launch, by round. */
  readonly #times = new Map<string, number[]>()
  /** Of hopeless ones: the median. */
  readonly #dropped = new Map<string, number>()
  readonly #failures: string[] = []
  #compiled = 0
  #rounds = 0
  /** Whether the rounds are the second ones, in which the winner of the first has to win once more against the default. */
  #confirming = false
  #launches = 0

  constructor(readonly contest: Contest<T>) {}

  /** What the next step does. */
  get next(): 'compile' | 'round' | 'done' {
    if (this.#compiled < this.contest.candidates.length) return 'compile'
    if (this.#rounds === ROUNDS || this.#times.size < 2 || this.#failures.includes(this.#fallback)) return 'done'
    return 'round'
  }

  /** Whether a step was taken. */
  get begun(): boolean {
    return this.#compiled > 0
  }

  get #fallback(): string {
    return (this.contest.candidates[0] as readonly [string, T])[0]
  }

  /** Takes the next step; false if it came to nothing because the device was used meanwhile. */
  async step(bench: Workbench): Promise<boolean> {
    const inputs = this.contest.inputs.map((bytes) => bench.zeros(bytes))
    try {
      return await (this.next === 'compile' ? this.#compile(bench, inputs) : this.#round(bench, inputs))
    } finally {
      for (const input of inputs) bench.release(input)
    }
  }

  async #compile(bench: Workbench, inputs: readonly GpuBuffer[]): Promise<boolean> {
    const [name, choice] = this.contest.candidates[this.#compiled++] as readonly [string, T]
    const compiles = await bench.compile(() => bench.release(this.contest.launch(inputs, choice)))
    if (compiles) this.#times.set(name, [])
    else this.#failures.push(name)
    return true
  }

  async #round(bench: Workbench, inputs: readonly GpuBuffer[]): Promise<boolean> {
    const candidates = this.contest.candidates.filter(([name]) => this.#times.has(name))
    // Each round begins with another candidate, so that none has the best place.
    const first = this.#rounds % candidates.length
    const order = [...candidates.slice(first), ...candidates.slice(0, first)]
    const samples: [number[], number][] = []
    for (const [name, choice] of order) {
      const launch = () => bench.release(this.contest.launch(inputs, choice))
      // The first one computes what later ones find derived from the inputs.
      const once = await bench.time(launch)
      if (once === undefined) return false
      // As many for all.
      this.#launches ||= Math.max(1, Math.min(MOST_LAUNCHES, Math.round(SAMPLE_MS / once)))
      const count = this.#launches
      const ms = await bench.time(() => {
        for (let i = 0; i < count; i++) launch()
      })
      if (ms === undefined) return false
      samples.push([this.#times.get(name) as number[], ms / count])
    }
    for (const [times, ms] of samples) times.push(ms)
    this.#rounds++
    if (this.#confirming) return true
    if (this.#rounds === 2) this.#dropHopeless()
    if (this.#rounds === ROUNDS) this.#confirm()
    return true
  }

  #dropHopeless(): void {
    const base = this.#times.get(this.#fallback) as number[]
    for (const [name, times] of this.#times) {
      if (times.every((ms, i) => ms > HOPELESS * (base[i] as number))) this.#dropped.set(name, median(times))
    }
    for (const name of this.#dropped.keys()) this.#times.delete(name)
  }

  /** The best of several is often only the luckiest: it has to show that again. */
  #confirm(): void {
    const base = this.#times.get(this.#fallback) as number[]
    const best = this.#best(base)
    if (!best || isUnreliable(spreadOf(base), best)) return
    for (const [name, times] of [...this.#times]) {
      if (name === this.#fallback || name === best.name) this.#times.set(name, [])
      else {
        this.#dropped.set(name, median(times))
        this.#times.delete(name)
      }
    }
    this.#rounds = 0
    this.#confirming = true
  }

  /** What the steps have shown, once there is none left. */
  verdict(): Verdict {
    const fallback = this.#fallback
    const times: Record<string, number> = {}
    for (const [name] of this.contest.candidates) {
      const own = this.#times.get(name)
      const ms = own?.length ? median(own) : this.#dropped.get(name)
      if (ms !== undefined) times[name] = ms
    }
    const keep = (why: string, settled: boolean): Verdict => {
      const failures = this.#failures.length > 0 ? `; no pipeline for ${this.#failures.join(' and ')}` : ''
      return { choice: fallback, reason: `the default: ${why}${failures}`, times, settled }
    }
    const base = this.#times.get(fallback)
    if (!base || this.#times.size < 2) {
      return keep(this.#dropped.size > 0 ? 'all others are clearly slower' : 'nothing to compare it with', true)
    }
    const best = this.#best(base)
    const spread = spreadOf(base)
    if (isUnreliable(spread, best)) {
      return keep(`timing is unreliable, half of its times spread over ${percent(spread)} of their median`, false)
    }
    if (!best && this.#confirming) return keep('what seemed to be faster was not when timed again', true)
    if (!best)
      return keep(`no other is faster by ${percent(1 - MARGIN)} and in ${ROUNDS_WON} of ${ROUNDS} rounds`, true)
    const reason = `${percent(1 - best.ratio)} less time than the default, faster in ${best.won} of ${ROUNDS} rounds`
    return { choice: best.name, reason, times, settled: true }
  }

  /** The candidate that is the clearest winner against the default's times, if any is. */
  #best(base: readonly number[]): Winner | undefined {
    let best: Winner | undefined
    for (const [name, own] of this.#times) {
      if (name === this.#fallback) continue
      const ratios = own.map((ms, i) => ms / (base[i] as number))
      const ratio = median(ratios)
      const won = ratios.filter((r) => r < 1).length
      if (ratio <= MARGIN && won >= ROUNDS_WON && !(best && best.ratio <= ratio)) best = { name, ratio, won }
    }
    return best
  }
}

const percent = (part: number): string => `${Math.round(100 * part)} %`
