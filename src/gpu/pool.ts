import { Ld3mError } from '../errors.ts'
import { BufferUsage } from './flags.ts'

/** A storage buffer on loan from the pool. `bytes` is its capacity, at least what was asked for. */
export class GpuBuffer {
  static #count = 0
  readonly id = GpuBuffer.#count++
  /** True between `alloc` and `release`. */
  live = true
  #version = 0
  /** Called before each command that writes to it is recorded: what is yet to be computed from the old contents. */
  beforeWrite: (() => void) | undefined
  /** Whether buffers derived from it are kept. */
  derived = false

  readonly #handle: GPUBuffer | undefined

  constructor(
    /** Undefined for a buffer of a memory plan. */
    handle: GPUBuffer | undefined,
    readonly bytes: number,
  ) {
    this.#handle = handle
  }

  /** Whether it is counted only: a buffer of a memory plan. */
  get planned(): boolean {
    return this.#handle === undefined
  }

  /** @throws Ld3mError `graph` for a buffer of a memory plan, when the plan is over */
  get handle(): GPUBuffer {
    if (this.#handle) return this.#handle
    throw new Ld3mError('graph', 'A tensor of a memory plan was used after it.', 'It has no elements: compute it.')
  }

  /** Counts the commands that wrote to it. */
  get version(): number {
    return this.#version
  }

  /** To be called before any command that writes to it is recorded. */
  willBeWritten(): void {
    this.beforeWrite?.()
    this.#version++
  }

  /** Takes back what a memory plan counted, which ran no command. */
  rewind(version: number): void {
    this.#version = version
  }
}

export interface MemoryUse {
  /** Bytes in buffers now on loan. */
  readonly current: number
  /** The most that `current` has been since the last `resetPeak`. */
  readonly peak: number
  /** Bytes held from the driver: on loan, and kept for reuse. */
  readonly reserved: number
}

/** Capacity for a request: four classes an octave, so that at most a quarter is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256
  const octave = 2 ** Math.floor(Math.log2(bytes))
  const step = octave / 4
  return Math.ceil(bytes / step) * step
}

/** Where a buffer goes in a list that is sorted by falling id. */
function placeOf(buffer: GpuBuffer, list: readonly GpuBuffer[]): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((list[middle] as GpuBuffer).id > buffer.id) low = middle + 1
    else high = middle
  }
  return low
}

const USAGE = BufferUsage.Storage | BufferUsage.CopySrc | BufferUsage.CopyDst

/**
 * Storage buffers by size class. A released buffer can be handed out again at once, even while recorded commands
 * still use it: all commands of a device run in the order they were recorded. Of several free ones the oldest is handed
 * out, whatever the order of their release, so that a loop that allocates the same sizes gets the same buffers again, and
 * finds its bind groups in the cache.
 */
export class BufferPool {
  /** By capacity; the oldest last. */
  readonly #free = new Map<number, GpuBuffer[]>()
  #current = 0
  #peak = 0
  #reserved = 0
  /** The largest buffer that can be bound. Kept, since to ask the device's limits is slow. */
  readonly #largest: number

  constructor(
    readonly device: GPUDevice,
    /** Bytes of unused buffers to keep for reuse; beyond that, released buffers are to be destroyed. */
    readonly keepBytes: number,
  ) {
    const { maxStorageBufferBindingSize, maxBufferSize } = device.limits
    // Whole words, and no size class on NVIDIA, which binds 2 GiB but for 4 bytes.
    this.#largest = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4) * 4
  }

  get memory(): MemoryUse {
    return { current: this.#current, peak: this.#peak, reserved: this.#reserved }
  }

  resetPeak(): void {
    this.#peak = this.#current
  }

  /**
   * The capacity of a buffer for `bytes`: its size class, or the largest that can be bound.
   * @throws Ld3mError `memory` if one buffer cannot be that large on this adapter.
   */
  capacityFor(bytes: number): number {
    if (bytes > this.#largest) {
      throw new Ld3mError(
        'memory',
        `A tensor of ${bytes} bytes was asked for; this adapter binds at most ${this.#largest} bytes at once.`,
        'Use a smaller batch or resolution, or split the work into chunks.',
      )
    }
    return Math.min(sizeClass(bytes), this.#largest)
  }

  /** @throws Ld3mError `memory` if one buffer cannot be that large on this adapter. */
  alloc(bytes: number): GpuBuffer {
    const capacity = this.capacityFor(bytes)
    this.#current += capacity
    this.#peak = Math.max(this.#peak, this.#current)
    const reused = this.#free.get(capacity)?.pop()
    if (reused) {
      reused.live = true
      return reused
    }
    this.#reserved += capacity
    return new GpuBuffer(this.device.createBuffer({ size: capacity, usage: USAGE }), capacity)
  }

  /** Takes a buffer back. Returns true if it should be destroyed (once the commands that use it are submitted). */
  release(buffer: GpuBuffer): boolean {
    if (!buffer.live) throw new Error(`buffer ${buffer.id} released twice`)
    buffer.live = false
    this.#current -= buffer.bytes
    if (this.#reserved - this.#current > this.keepBytes) {
      this.#reserved -= buffer.bytes
      return true
    }
    const list = this.#free.get(buffer.bytes)
    if (list) list.splice(placeOf(buffer, list), 0, buffer)
    else this.#free.set(buffer.bytes, [buffer])
    return false
  }

  /** Empties the pool of unused buffers and returns them, to be destroyed. */
  drain(): GpuBuffer[] {
    const buffers = [...this.#free.values()].flat()
    this.#free.clear()
    for (const buffer of buffers) this.#reserved -= buffer.bytes
    return buffers
  }
}
