import type { BatchRun } from './profiler.ts'

/** An event of the Trace Event Format. Times are microseconds. */
export interface TraceEvent {
  readonly name: string
  /** X is an event with a duration; M names a process or thread. */
  readonly ph: 'X' | 'M'
  readonly pid: number
  readonly tid: number
  /** X: when it started. */
  readonly ts?: number
  /** X: how long it took. */
  readonly dur?: number
  readonly cat?: string
  readonly args: Readonly<Record<string, string | number>>
}

/** The object form of Chrome's Trace Event Format. */
export interface ChromeTrace {
  readonly displayTimeUnit: 'ms'
  readonly otherData: Readonly<Record<string, string>>
  /** Names of the tracks, then the events by their start. */
  readonly traceEvents: readonly TraceEvent[]
}

const GPU = 1
const CPU = 2

/**
 * Kernels on the GPU's track, with what they are and reach; recording and submitting on the CPU's. The two clocks are not
 * the same: the GPU's is moved to the earliest place where no kernel starts before its submission does.
 */
export function traceOf(batches: readonly BatchRun[], adapter: string): ChromeTrace {
  const origin = Math.min(...batches.map(({ recordStart }) => recordStart))
  const fromCpu = (ms: number) => (ms - origin) * 1000
  let shift = 0
  for (const { kernels, submitStart } of batches) {
    for (const { start } of kernels) shift = Math.max(shift, fromCpu(submitStart) - start / 1000)
  }
  const kernels = batches
    .flatMap((batch) => batch.kernels)
    .map(
      ({ variant, work, start, duration }): Spanning => ({
        name: variant.kernel.name,
        cat: 'kernel',
        ts: start / 1000 + shift,
        dur: duration / 1000,
        args: {
          variant: variant.label,
          'GFLOP/s': duration > 0 ? work.flops / duration : 0,
          'GB/s': duration > 0 ? work.bytes / duration : 0,
        },
      }),
    )
  const host = batches.flatMap(({ recordStart, submitStart, submitEnd, commands }): Spanning[] => [
    {
      name: 'record',
      cat: 'host',
      ts: fromCpu(recordStart),
      dur: (submitStart - recordStart) * 1000,
      args: { commands },
    },
    {
      name: 'submit',
      cat: 'host',
      ts: fromCpu(submitStart),
      dur: (submitEnd - submitStart) * 1000,
      args: { commands },
    },
  ])
  const events = [...onTracks(kernels, GPU), ...onTracks(host, CPU)].sort((a, b) => a.ts - b.ts || b.dur - a.dur)
  const named = (pid: number, name: string): TraceEvent => ({
    name: 'process_name',
    ph: 'M',
    pid,
    tid: 0,
    args: { name },
  })
  return {
    displayTimeUnit: 'ms',
    otherData: { adapter },
    traceEvents: [named(GPU, `GPU: ${adapter}`), named(CPU, 'CPU: commands'), ...events],
  }
}

type Spanning = Required<Pick<TraceEvent, 'name' | 'cat' | 'ts' | 'dur' | 'args'>>

/** Events that overlap, as kernels may that do not depend on each other, go to different tracks: one cannot show them. */
function onTracks(events: readonly Spanning[], pid: number) {
  const ends: number[] = []
  return [...events]
    .sort((a, b) => a.ts - b.ts)
    .map((event) => {
      // Sums of fractions of a microsecond are not exact; timestamps are whole nanoseconds.
      const free = ends.findIndex((end) => end <= event.ts + 5e-4)
      const track = free < 0 ? ends.length : free
      ends[track] = event.ts + event.dur
      return { ...event, ph: 'X' as const, pid, tid: track + 1 }
    })
}
