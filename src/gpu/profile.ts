import type { BatchRun, KernelRun } from './profiler.ts'
import { type ChromeTrace, traceOf } from './trace.ts'

/** One kernel variant's share of a profiled run. */
export interface ProfileRow {
  /** The kernel and its constants, e.g. `matmul[BIAS=false]`. */
  readonly kernel: string
  readonly calls: number
  /** Of all calls together. */
  readonly ms: number
  readonly gflops: number
  readonly gbs: number
  /** Fraction of the profiled kernels' time, 0…1. */
  readonly share: number
}

/** What `device.profile` gives. */
export interface Profile<T> {
  /** What the profiled function returned. */
  readonly result: T
  /** By kernel variant, the longest first. */
  readonly rows: readonly ProfileRow[]
  /** The rows as text, with a line of totals. */
  readonly table: string
  /** Every kernel as it ran; `JSON.stringify` gives a file that chrome://tracing and ui.perfetto.dev open. */
  readonly trace: ChromeTrace
}

export function profileOf<T>(result: T, batches: readonly BatchRun[], adapter: string): Profile<T> {
  const rows = rowsOf(batches.flatMap(({ kernels }) => kernels))
  return { result, rows, table: tableOf(rows), trace: traceOf(batches, adapter) }
}

function rowsOf(runs: readonly KernelRun[]): ProfileRow[] {
  const totals = new Map<string, { calls: number; ns: number; flops: number; bytes: number }>()
  let sum = 0
  for (const { variant, work, duration } of runs) {
    const total = totals.get(variant.label) ?? { calls: 0, ns: 0, flops: 0, bytes: 0 }
    total.calls++
    total.ns += duration
    total.flops += work.flops
    total.bytes += work.bytes
    totals.set(variant.label, total)
    sum += duration
  }
  return [...totals]
    .sort(([, a], [, b]) => b.ns - a.ns)
    .map(([kernel, { calls, ns, flops, bytes }]) => ({
      kernel,
      calls,
      ms: ns / 1e6,
      gflops: ns > 0 ? flops / ns : 0,
      gbs: ns > 0 ? bytes / ns : 0,
      share: sum > 0 ? ns / sum : 0,
    }))
}

/** The kernel comes last, since its name may be long. */
function tableOf(rows: readonly ProfileRow[]): string {
  const line = (calls: string, ms: string, share: string, gflops: string, gbs: string, kernel: string) =>
    `${calls.padStart(7)} ${ms.padStart(10)} ${share.padStart(7)} ${gflops.padStart(9)} ${gbs.padStart(8)}  ${kernel}`
  const totals = { calls: 0, ms: 0 }
  for (const { calls, ms } of rows) {
    totals.calls += calls
    totals.ms += ms
  }
  return [
    line('calls', 'ms', 'share', 'GFLOP/s', 'GB/s', 'kernel'),
    ...rows.map(({ calls, ms, share, gflops, gbs, kernel }) =>
      line(`${calls}`, ms.toFixed(3), `${(share * 100).toFixed(1)} %`, gflops.toFixed(2), gbs.toFixed(2), kernel),
    ),
    line(`${totals.calls}`, totals.ms.toFixed(3), '', '', '', 'all'),
  ].join('\n')
}
