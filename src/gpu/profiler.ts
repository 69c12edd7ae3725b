import { BufferUsage, MapModeRead } from './flags.ts'

/** What a dispatch does, as stated by its launch function. */
export interface Work {
  /** Floating-point operations (a fused multiply-add counts two). */
  readonly flops: number
  /** Bytes that must be read and written at least once. */
  readonly bytes: number
}

/** One kernel variant's share of a profiled run. */
export interface ProfileRow {
  readonly kernel: string
  readonly calls: number
  readonly ms: number
  readonly gflops: number
  readonly gbs: number
  /** Fraction of the profiled kernels' time, 0…1. */
  readonly share: number
}

interface Total {
  calls: number
  ns: number
  flops: number
  bytes: number
}

/** Timestamps under way: resolved on the GPU, then copied to where they can be read. */
interface Pending {
  readonly queries: GPUQuerySet
  readonly resolved: GPUBuffer
  readonly staging: GPUBuffer
}

/** Times each dispatch by a pair of timestamp queries. Alive only while a profile is being taken. */
export class Profiler {
  readonly #totals = new Map<string, Total>()
  readonly #pending: Promise<void>[] = []

  constructor(readonly device: GPUDevice) {}

  /** A query set for `count` dispatches; call `finish` after recording them, `collect` after submitting. */
  begin(count: number): GPUQuerySet {
    return this.device.createQuerySet({ type: 'timestamp', count: count * 2 })
  }

  finish(encoder: GPUCommandEncoder, queries: GPUQuerySet, count: number): Pending {
    const size = count * 16
    const resolved = this.device.createBuffer({ size, usage: BufferUsage.QueryResolve | BufferUsage.CopySrc })
    const staging = this.device.createBuffer({ size, usage: BufferUsage.MapRead | BufferUsage.CopyDst })
    encoder.resolveQuerySet(queries, 0, count * 2, resolved, 0)
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
    return { queries, resolved, staging }
  }

  collect(
    { queries, resolved, staging }: Pending,
    dispatches: readonly { label: string; work: Work | undefined }[],
  ): void {
    this.#pending.push(
      staging.mapAsync(MapModeRead).then(() => {
        const times = new BigUint64Array(staging.getMappedRange().slice(0))
        for (const used of [queries, resolved, staging]) used.destroy()
        dispatches.forEach(({ label, work }, i) => {
          const total = this.#totals.get(label) ?? { calls: 0, ns: 0, flops: 0, bytes: 0 }
          total.calls++
          total.ns += Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint))
          total.flops += work?.flops ?? 0
          total.bytes += work?.bytes ?? 0
          this.#totals.set(label, total)
        })
      }),
    )
  }

  async rows(): Promise<ProfileRow[]> {
    await Promise.all(this.#pending)
    const all = [...this.#totals].map(([kernel, t]) => ({ kernel, ...t }))
    const sum = all.reduce((s, t) => s + t.ns, 0)
    return all
      .sort((a, b) => b.ns - a.ns)
      .map(({ kernel, calls, ns, flops, bytes }) => ({
        kernel,
        calls,
        ms: ns / 1e6,
        gflops: ns > 0 ? flops / ns : 0,
        gbs: ns > 0 ? bytes / ns : 0,
        share: sum > 0 ? ns / sum : 0,
      }))
  }
}
