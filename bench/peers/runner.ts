/** Times one work in several libraries, round by round, and checks that they agree. */
import { Ld3mError } from '../../src/errors.ts'
import { median } from '../median.ts'
import { type Arrays, distance, zerosAmong } from './arrays.ts'
import type { Library, Prepared } from './library.ts'
import type { Work } from './works.ts'

/** The largest difference allowed between two libraries' results, relative to the largest magnitude. */
const TOLERANCE = 1e-3
/** Executions are repeated until a sample takes about this long … */
const SAMPLE_MS = 60
/** … but not more often than this. */
const MAX_EXECUTIONS = 500

export interface Figures {
  /** Of one execution: the median over samples of a sample's mean. */
  readonly ms: number
  readonly gflops: number | null
}

/** A row of the JSON file. */
export interface Comparison {
  readonly work: string
  readonly shape: string
  readonly ours: Figures
  readonly peers: Readonly<Record<string, Figures | 'unsupported'>>
  /** Why a peer is unsupported, by its name. */
  readonly notes: Readonly<Record<string, string>>
  /** The best peer's time over ours; null where no peer can do it. */
  readonly ratio: number | null
}

/** A library that takes part in a row. */
interface Contestant {
  readonly name: string
  readonly prepared: Prepared
  readonly results: Arrays
}

/**
 * @param ours the library that ratios are about; what it cannot do is an error
 * @throws Ld3mError `numeric` if its results are not those of the peers
 */
export async function compare(
  work: Work,
  ours: Library,
  peers: readonly Library[],
  { quick, samples }: { readonly quick: boolean; readonly samples: number },
): Promise<Comparison> {
  const notes: Record<string, string> = {}
  const own = await enter(ours, work)
  const others: Contestant[] = []
  try {
    for (const peer of peers) {
      try {
        others.push(await enter(peer, work))
      } catch (error) {
        notes[peer.name] = `throws: ${firstLine(error)}`
      }
    }
    Object.assign(notes, disagreements(work, own, others))
    const agreeing = others.filter(({ name }) => !(name in notes))
    const times = await timesOf([own, ...agreeing], quick, samples)
    const figures = (name: string): Figures => {
      const ms = median(times.get(name) as number[])
      return { ms, gflops: work.flops === null ? null : work.flops / ms / 1e6 }
    }
    const all = peers.map(({ name }) => [name, name in notes ? ('unsupported' as const) : figures(name)] as const)
    const best = Math.min(...all.map(([, f]) => (f === 'unsupported' ? Number.POSITIVE_INFINITY : f.ms)))
    const mine = figures(ours.name)
    return {
      ...{ work: work.name, shape: work.shape, ours: mine, peers: Object.fromEntries(all), notes },
      ratio: Number.isFinite(best) ? best / mine.ms : null,
    }
  } finally {
    for (const { prepared } of [own, ...others]) prepared.dispose()
  }
}

async function enter(library: Library, work: Work): Promise<Contestant> {
  const prepared = await library.prepare(work)
  try {
    return { name: library.name, prepared, results: await prepared.first() }
  } catch (error) {
    prepared.dispose()
    throw error
  }
}

/**
 * Which peers give another result, and what is wrong with it. That it is they who are wrong is taken for granted only
 * if another peer confirms our result, or theirs is plainly empty.
 */
function disagreements(work: Work, own: Contestant, others: readonly Contestant[]): Record<string, string> {
  const notes: Record<string, string> = {}
  const doubtful: string[] = []
  const confirmed = others.some(({ results }) => distance(own.results, results) <= TOLERANCE)
  for (const { name, results } of others) {
    const difference = distance(own.results, results)
    if (difference <= TOLERANCE) continue
    const zeros = zerosAmong(results).filter((array) => !zerosAmong(own.results).includes(array))
    if (zeros.length > 0) notes[name] = `gives a wrong result: silent zeros for ${zeros.join(', ')}`
    else notes[name] = `gives a wrong result: differs by ${difference.toPrecision(2)} of the largest magnitude`
    if (!confirmed && zeros.length === 0) doubtful.push(`${name} ${notes[name]}`)
  }
  if (doubtful.length > 0) {
    throw new Ld3mError(
      'numeric',
      `${work.name}, ${work.shape}: nobody confirms ${own.name}'s result: ${doubtful.join('; ')}.`,
      `Compare both with a third implementation.`,
    )
  }
  return notes
}

/** Milliseconds of an execution in each sample, by library. The order turns from round to round. */
async function timesOf(contestants: readonly Contestant[], quick: boolean, samples: number) {
  const executions = new Map<string, number>()
  for (const { name, prepared } of contestants) {
    // The second execution is the first without compiling.
    const once = await prepared.time(1)
    executions.set(name, quick ? 1 : Math.max(1, Math.min(Math.round(SAMPLE_MS / once), MAX_EXECUTIONS)))
  }
  const times = new Map<string, number[]>(contestants.map(({ name }) => [name, []]))
  for (let round = 0; round < samples; round++) {
    for (let turn = 0; turn < contestants.length; turn++) {
      const { name, prepared } = contestants[(round + turn) % contestants.length] as Contestant
      const count = executions.get(name) as number
      times.get(name)?.push((await prepared.time(count)) / count)
    }
  }
  return times
}

const firstLine = (error: unknown): string =>
  String((error as { message?: string }).message ?? error)
    .trim()
    .split('\n')[0] as string
