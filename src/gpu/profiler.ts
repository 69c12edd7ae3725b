import { BufferUsage, MapModeRead } from './flags.ts'
import type { Variant } from './kernel.ts'

/** What a dispatch does, as stated by its launch function. */
export interface Work {
  /** Floating-point operations (a fused multiply-add counts two). */
  readonly flops: number
  /** Bytes that must be read and written at least once. */
  readonly bytes: number
}

/** A kernel as it ran. Times are nanoseconds of the GPU's clock, from the first kernel's start. */
export interface KernelRun {
  readonly variant: Variant
  readonly work: Work
  readonly start: number
  readonly duration: number
}

/** A batch of commands on its way. Times are milliseconds of `performance.now`. */
export interface BatchRun {
  readonly recordStart: number
  readonly submitStart: number
  readonly submitEnd: number
  readonly commands: number
  /** In the order in which they were recorded. */
  readonly kernels: readonly KernelRun[]
}

/** What the recorder says of a batch that it has submitted. */
export interface SubmittedBatch extends Omit<BatchRun, 'kernels'> {
  readonly dispatches: readonly { readonly variant: Variant; readonly work: Work | undefined }[]
}

/** Timestamps under way: resolved on the GPU, then copied to where they can be read. */
interface Pending {
  readonly queries: GPUQuerySet
  readonly resolved: GPUBuffer
  readonly staging: GPUBuffer
}

const NO_WORK: Work = { flops: 0, bytes: 0 }

/** Times each dispatch by a pair of timestamp queries. Alive only while a profile is being taken. */
export class Profiler {
  readonly #pending: Promise<{ batch: SubmittedBatch; times: BigUint64Array }>[] = []

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

  collect({ queries, resolved, staging }: Pending, batch: SubmittedBatch): void {
    this.#pending.push(
      staging.mapAsync(MapModeRead).then(() => {
        const times = new BigUint64Array(staging.getMappedRange().slice(0))
        for (const used of [queries, resolved, staging]) used.destroy()
        return { batch, times }
      }),
    )
  }

  /** Everything that was timed, once it has run, in the order of submission. */
  async batches(): Promise<BatchRun[]> {
    const read = await Promise.all(this.#pending)
    let first: bigint | undefined
    for (const { times } of read) {
      for (let i = 0; i < times.length; i += 2) {
        const start = times[i] as bigint
        if (first === undefined || start < first) first = start
      }
    }
    return read.map(({ batch: { dispatches, ...batch }, times }) => ({
      ...batch,
      kernels: dispatches.map(({ variant, work = NO_WORK }, i) => {
        const [start, end] = [times[2 * i] as bigint, times[2 * i + 1] as bigint]
        return { variant, work, start: Number(start - (first as bigint)), duration: Number(end - start) }
      }),
    }))
  }
}
