import type { ProgressLine } from './progress.ts'

/** Fires on Ctrl-C or SIGTERM. */
export interface StopSignal {
  readonly signal: AbortSignal
  /** Stops listening. */
  release(): void
}

/**
 * Listens for Ctrl-C and SIGTERM: the first says that it stops and fires the signal, a second one has its usual effect and
 * ends the process at once.
 * @param line what shows the work's progress, which ends for that
 */
export function stopSignal(line?: ProgressLine): StopSignal {
  const controller = new AbortController()
  const release = () => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, interrupt)
  }
  const interrupt = () => {
    release()
    line?.end()
    process.stdout.write('Stopping; what there is so far will be saved.\n')
    controller.abort()
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, interrupt)
  return { signal: controller.signal, release }
}

/**
 * Does work that Ctrl-C (or SIGTERM) is to end in an orderly way.
 * @param line what shows the work's progress
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>, line?: ProgressLine): Promise<T> {
  const { signal, release } = stopSignal(line)
  try {
    return await work(signal)
  } finally {
    release()
  }
}
