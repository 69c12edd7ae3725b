import { BufferUsage } from './flags.ts'

const FIRST_BYTES = 16 << 10

/** The size of an arena that holds `bytes`: powers of two, so that it seldom grows. */
const capacityFor = (bytes: number): number => Math.max(FIRST_BYTES, 2 ** Math.ceil(Math.log2(bytes)))

/** The small uploads of a batch, one behind the other, on the host. */
export class UploadArena {
  #bytes = new Uint8Array(0)
  #used = 0

  /** Copies `data`, padded with zeros to `bytes`, a multiple of 4. Returns where it lies. */
  add(data: ArrayBufferView, bytes: number): number {
    const offset = this.#used
    const end = offset + bytes
    if (end > this.#bytes.length) {
      const grown = new Uint8Array(capacityFor(end))
      grown.set(this.#bytes.subarray(0, offset))
      this.#bytes = grown
    }
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
    this.#bytes.fill(0, offset + data.byteLength, end)
    this.#used = end
    return offset
  }

  /** What was added since the last `clear`. */
  get contents(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#used)
  }

  clear(): void {
    this.#used = 0
  }
}

/**
 * Where the small uploads of a batch lie on the device, to be copied from there by its commands. One buffer serves all
 * batches: the queue rewrites it for a batch only when the commands of the batch before have read it.
 */
export class UploadBuffer {
  #buffer: GPUBuffer | undefined

  constructor(readonly device: GPUDevice) {}

  /** Hands the queue the contents of a batch that is about to be submitted. Returns the buffer that will hold them. */
  fill(contents: Uint8Array<ArrayBuffer>): GPUBuffer {
    if (!this.#buffer || this.#buffer.size < contents.length) {
      this.#buffer?.destroy()
      this.#buffer = this.device.createBuffer({
        size: capacityFor(contents.length),
        usage: BufferUsage.CopyDst | BufferUsage.CopySrc,
      })
    }
    this.device.queue.writeBuffer(this.#buffer, 0, contents)
    return this.#buffer
  }
}
