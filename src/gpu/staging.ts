import { BufferUsage } from './flags.ts'
import { sizeClass } from './pool.ts'

/** Bytes of staging buffers to keep: for what is read often, such as losses and batches of images. */
const KEEP_BYTES = 8 << 20

/**
 * Buffers that results are copied to and mapped from, by size class. To make one and to destroy it takes longer than a
 * small read itself. They are no tensors' memory: `device.memory` does not count them.
 */
export class StagingBuffers {
  readonly #free = new Map<number, GPUBuffer[]>()
  #kept = 0

  constructor(readonly device: GPUDevice) {}

  /**
   * A buffer of at least `bytes` that no one else has. One too large to be kept has just those: the size class of the
   * largest tensors may be more than the adapter gives.
   */
  take(bytes: number): GPUBuffer {
    const size = bytes > KEEP_BYTES ? bytes : sizeClass(bytes)
    const kept = this.#free.get(size)?.pop()
    if (kept) {
      this.#kept -= size
      return kept
    }
    return this.device.createBuffer({ size, usage: BufferUsage.MapRead | BufferUsage.CopyDst })
  }

  /** Takes back a mapped buffer that has been read. */
  giveBack(buffer: GPUBuffer): void {
    const { size } = buffer
    if (this.#kept + size > KEEP_BYTES) {
      buffer.destroy()
      return
    }
    buffer.unmap()
    this.#kept += size
    const list = this.#free.get(size)
    if (list) list.push(buffer)
    else this.#free.set(size, [buffer])
  }

  /** Destroys what is kept. */
  clear(): void {
    for (const buffers of this.#free.values()) for (const buffer of buffers) buffer.destroy()
    this.#free.clear()
    this.#kept = 0
  }
}
