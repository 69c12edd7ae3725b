import type { ExpertProgress } from '../ld3m/index.ts'
import { bar, formatDuration, type ProgressLine } from './progress.ts'

/** Shows the epochs of `trainExperts`: its option `onProgress`. */
export const showExperts =
  (line: ProgressLine) =>
  ({ expert, experts, epoch, epochs, loss, secondsLeft }: ExpertProgress): void =>
    line.update(
      `expert ${expert + 1}/${experts} ${bar(epoch / epochs)} epoch ${epoch}/${epochs}  loss ${loss.toPrecision(4)}  ` +
        `${formatDuration(secondsLeft)} left`,
      epoch === epochs,
    )
