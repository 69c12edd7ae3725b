import { Ld3mError } from '../errors.ts'
import type { DerivedBuffers } from './derived.ts'
import { GpuBuffer, type MemoryUse } from './pool.ts'

/** What a piece of work would need of the GPU's memory. Bytes are those of buffers, as `device.memory` counts them. */
export interface MemoryPlan {
  /** In use before the work. */
  readonly beforeBytes: number
  /** The most in use at once, what was in use before included: `device.memory.peak` after the work itself. */
  readonly peakBytes: number
  /** In use after the work, with its results: `device.memory.current` then. */
  readonly afterBytes: number
  /** What the work itself had allocated at the peak, by the kernel that wrote it first; the most bytes first. */
  readonly atPeak: readonly PlannedUse[]
}

export interface PlannedUse {
  /** The kernel's name; `upload`, `clear` or `copy` for what these wrote first, `unused` for what nothing wrote. */
  readonly kernel: string
  readonly buffers: number
  readonly bytes: number
}

/** One allocation, and the numbers of the events that began and ended it. */
interface Allocation {
  readonly bytes: number
  readonly from: number
  to: number
  writer: string | undefined
}

/** The memory of a device while commands are counted and dropped: its buffers have a size and no contents. */
export class Rehearsal {
  /** What the work asked for that has no answer without running it. */
  failure: Ld3mError | undefined
  readonly #before: number
  #current: number
  #peak: number
  #peakEvent = 0
  #events = 0
  /** By buffers that have no other existence. */
  readonly #allocations = new Map<GpuBuffer, Allocation>()
  /** Versions of the device's own buffers before they were written to. */
  readonly #versions = new Map<GpuBuffer, number>()
  readonly #reserved: number
  /** A copy of the device's, which changes with the work. */
  readonly derived: DerivedBuffers

  constructor(memory: MemoryUse, derived: DerivedBuffers) {
    this.#before = this.#current = this.#peak = memory.current
    this.#reserved = memory.reserved
    this.derived = derived.copy((buffer) => this.release(buffer))
  }

  get memory(): MemoryUse {
    return { current: this.#current, peak: this.#peak, reserved: Math.max(this.#reserved, this.#peak) }
  }

  resetPeak(): void {
    this.#peak = this.#current
    this.#peakEvent = this.#events
  }

  /** A buffer of that capacity. */
  alloc(bytes: number): GpuBuffer {
    const buffer = new GpuBuffer(undefined, bytes)
    this.#current += buffer.bytes
    const from = ++this.#events
    this.#allocations.set(buffer, { bytes: buffer.bytes, from, to: Number.POSITIVE_INFINITY, writer: undefined })
    if (this.#current > this.#peak) this.resetPeak()
    return buffer
  }

  /** Counts a buffer as given back, whether the work allocated it or the device had it before. */
  release(buffer: GpuBuffer): void {
    this.#current -= buffer.bytes
    const allocation = this.#allocations.get(buffer)
    if (allocation) allocation.to = ++this.#events
  }

  write(buffer: GpuBuffer, writer: string): void {
    const allocation = this.#allocations.get(buffer)
    if (allocation) allocation.writer ??= writer
    else if (!this.#versions.has(buffer)) this.#versions.set(buffer, buffer.version)
    buffer.willBeWritten()
  }

  refuse(what: string): void {
    this.failure ??= new Ld3mError(
      'graph',
      `planMemory: the function ${what}, but nothing is computed in a plan.`,
      'Plan the synchronous part that comes before it.',
    )
  }

  /** Forgets what the work wrote. */
  end(): void {
    for (const [buffer, version] of this.#versions) buffer.rewind(version)
  }

  plan(): MemoryPlan {
    const byKernel = new Map<string, { buffers: number; bytes: number }>()
    for (const { bytes, from, to, writer = 'unused' } of this.#allocations.values()) {
      if (from > this.#peakEvent || to <= this.#peakEvent) continue
      const total = byKernel.get(writer) ?? { buffers: 0, bytes: 0 }
      total.buffers++
      total.bytes += bytes
      byKernel.set(writer, total)
    }
    return {
      beforeBytes: this.#before,
      peakBytes: this.#peak,
      afterBytes: this.#current,
      atPeak: [...byKernel].map(([kernel, use]) => ({ kernel, ...use })).sort((a, b) => b.bytes - a.bytes),
    }
  }
}
