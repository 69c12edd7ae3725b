import type { DistilledSet } from '../ld3m/index.ts'

/** Shares of where it started below which a learned student learning rate says that something else went wrong. */
const COLLAPSED = 0.1

/**
 * What to tell of a trajectory matching that learned a rate at which nothing is learned, rather than images; undefined where
 * it did not. Its loss is relative: above 1, students end farther from where experts do than they began.
 */
export function trajectoryAdvice(
  { studentLearningRate: learned, loss }: DistilledSet,
  initial: unknown,
): string | undefined {
  if (learned === undefined || typeof initial !== 'number' || learned >= COLLAPSED * initial) return undefined
  const overshot =
    (loss[0] as number) > 1 ? `, since at first students went too far (a loss of ${loss[0]?.toPrecision(3)})` : ''
  return (
    `The student's learning rate fell from ${initial.toPrecision(3)} to ${learned.toPrecision(3)}${overshot}: networks learn ` +
    'little at it. Lower studentLearningRate or studentSteps, or train experts in smaller batches, so that they go farther.'
  )
}
