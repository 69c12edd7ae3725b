import { optionError, rejectUnknownOptions } from '../../errors.ts'
import { atLeastOne } from '../options.ts'

/** How long gradient matching keeps a network. */
export interface DcLoops {
  /** Iterations that one network serves, ≥ 1; with 1 it is never trained. */
  readonly outer: number
  /** Epochs on the synthetic set between two of them, ≥ 1; 1 where `outer` is. */
  readonly inner: number
}

/** By images a class: `get_loops` of the code of Zhao et al. (2021). */
const PUBLISHED: Readonly<Record<number, DcLoops>> = {
  1: { outer: 1, inner: 1 },
  10: { outer: 10, inner: 50 },
  20: { outer: 20, inner: 25 },
  30: { outer: 30, inner: 20 },
  40: { outer: 40, inner: 15 },
  50: { outer: 50, inner: 10 },
}

/** `loops`, or an error unless they are ones. */
export function checkLoops(loops: DcLoops | 'published'): DcLoops | 'published' {
  if (loops === 'published') return loops
  if (typeof loops === 'string') throw optionError(`dc: loops is '${loops}'.`, "Use 'published' or { outer, inner }.")
  rejectUnknownOptions('dc: loops', loops, ['outer', 'inner'])
  const outer = atLeastOne('dc', 'loops.outer', loops.outer)
  const inner = atLeastOne('dc', 'loops.inner', loops.inner)
  if (outer === 1 && inner > 1) {
    throw optionError(
      `dc: loops.inner is ${inner}, but a network that serves one iteration (loops.outer) is never trained.`,
      'Raise loops.outer, or use 1 for both.',
    )
  }
  return { outer, inner }
}

/** Loops from options; the published ones depend on the images a class. */
export function resolveLoops(loops: DcLoops | 'published', imagesPerClass: number): DcLoops {
  if (loops !== 'published') return loops
  const found = PUBLISHED[imagesPerClass]
  if (!found) {
    throw optionError(
      `dc: no loops are published for ${imagesPerClass} images a class.`,
      `Give loops: { outer, inner }, or use one of ${Object.keys(PUBLISHED).join(', ')} images a class.`,
    )
  }
  return found
}
