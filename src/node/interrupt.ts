import type { ProgressLine } from './progress.ts'

/**
 * Does work that Ctrl-C (or SIGTERM) is to end in an orderly way: the first says so and fires the signal, the second ends
 * the process at once.
 * @param line what shows the work's progress, which ends for that
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, line?: ProgressLine): Promise<T> {
  const controller = new AbortController()
  const release = () => {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
  const interrupt = () => {
    release()
    line?.end()
    process.stdout.write('Stopping; what there is so far will be saved.\n')
    controller.abort()
  }
  process.once('SIGINT', interrupt)
  process.once('SIGTERM', interrupt)
  try {
    return await work(controller.signal)
  } finally {
    release()
  }
}
