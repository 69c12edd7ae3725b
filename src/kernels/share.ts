import { FILL, type Team } from './team.ts'

/**
 * How a GPU shares long sums (or maxima) of `count` elements each. A launch whose invocations walk them one after the
 * other waits for memory at each step: on an H200 a step took 0.3 to 0.6 µs, and one workgroup 659 µs for a million
 * elements, while four million elements of an elementwise kernel took 13 µs.
 */
export interface Share extends Pick<Team, 'constants'> {
  /** Whether a workgroup's neighbours are neighbouring results, and not elements of one. */
  readonly across: boolean
  /** Parts that a sum is computed in, to be added up by a second launch, and elements of a part. */
  readonly parts: number
  readonly part: number
}

/** Elements that an invocation is given before another one takes part. */
const FEW = 4

/** A walk of so many elements takes longer than a second launch (about 7.5 µs), and than joining the parts. */
const LONG = 32

/**
 * What shares `outputs` sums of `count` elements.
 * @param across whether elements of different sums lie together, so that neighbours must take different sums
 */
export function shareFor(outputs: number, count: number, across: boolean): Share {
  const most = across ? 32 : 256
  const wanted = Math.min(Math.ceil(count / FEW), Math.ceil(FILL / outputs))
  const split = wanted > most && count > most * LONG
  const part = split ? Math.ceil(count / Math.ceil(wanted / most)) : count
  const lanes = lanesFor(Math.min(wanted, most), count, across)
  const size = across && lanes > 1 ? 256 : Math.max(64, lanes)
  return {
    constants: { LANES: lanes, SIZE: size, Team: lanes === 1 ? 'team_alone' : 'team_workgroup' },
    across: across && lanes > 1,
    parts: Math.ceil(count / part),
    part,
  }
}

function lanesFor(wanted: number, count: number, across: boolean): number {
  if (across) return wanted <= 1 ? 1 : wanted <= 8 ? 8 : 32
  // Neighbours must share a row even where rows alone would fill the GPU, or each would read a line of its own.
  const least = count <= 4 ? 1 : count <= 128 ? 8 : count <= 2048 ? 64 : 256
  return Math.max(least, wanted <= 1 ? 1 : wanted <= 8 ? 8 : wanted <= 64 ? 64 : 256)
}
