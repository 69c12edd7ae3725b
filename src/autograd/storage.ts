import type { Device, GpuBuffer } from '../gpu/index.ts'
import { elementwise, type Program } from '../kernels/index.ts'
import { pinnedOn } from './pinned.ts'

/** A chain of elementwise functions over computed storages that has not run yet. */
export interface Chain extends Program {
  /** One for each layout; the same storage may stand in several. */
  readonly sources: readonly Storage[]
}

/**
 * The memory shared by the tensors and graph nodes that refer to it: a GPU buffer, which goes back to the pool with the
 * last of them, or a chain of elementwise functions that is computed when somebody asks for the buffer, and never if
 * nobody does.
 *
 * A chain reads its sources as they were when it was made: before a command that writes to a source's buffer, every
 * chain over it is computed (`GpuBuffer.beforeWrite`). It also keeps them in memory; `Pinned` bounds how much.
 */
export class Storage {
  #owners = 1
  #buffer: GpuBuffer | undefined
  #chain: Chain | undefined
  /** Storages whose chains read this one. */
  #readers: Set<Storage> | undefined
  /** The buffer's version when its elements were complete. */
  #complete = 0
  /** How many other chains have taken this one's steps over: see `chain`. */
  inlined = 0

  constructor(
    readonly device: Device,
    content: GpuBuffer | Chain,
  ) {
    if (!('sources' in content)) {
      this.#buffer = content
      this.#complete = content.version
      return
    }
    this.#chain = content
    pinnedOn(device).pending.add(this)
    for (const source of content.sources) source.#pin(this)
  }

  /** The chain that is to be computed, or undefined once it is. */
  get chain(): Chain | undefined {
    return this.#chain
  }

  /** Bytes of the buffer, or of the one that the chain will need. */
  get bytes(): number {
    return this.#buffer?.bytes ?? (this.#chain?.count ?? 0) * 4
  }

  /** The elements; computes them first where they are still a chain. */
  get buffer(): GpuBuffer {
    if (this.#buffer) return this.#buffer
    const chain = this.#chain
    if (!chain) throw new Error('storage used after its release')
    const sources = chain.sources.map((source) => source.buffer)
    this.#buffer = this.device.allocating(() => elementwise(this.device, chain, sources))
    this.#complete = this.#buffer.version
    this.#leave(chain)
    return this.#buffer
  }

  /** Counts the commands that changed elements in place: what a graph saved of an older version is gone. */
  get version(): number {
    return this.#buffer ? this.#buffer.version - this.#complete : 0
  }

  retain(): this {
    if (this.#owners === 0) throw new Error('storage retained after its release')
    this.#owners++
    return this
  }

  release(): void {
    if (this.#owners === 0) throw new Error('storage released twice')
    if (--this.#owners > 0) return
    if (this.#chain) this.#leave(this.#chain)
    else if (this.#readers) pinnedOn(this.device).add(this, this.#readers)
    else this.device.release(this.buffer)
  }

  #pin(reader: Storage): void {
    if (!this.#readers) {
      const readers = new Set<Storage>()
      this.#readers = readers
      this.buffer.beforeWrite = () => {
        for (const storage of [...readers]) storage.buffer
      }
    }
    this.#readers.add(reader)
  }

  /** Lets go of the sources: the chain is computed, or nobody wants it any more. */
  #leave(chain: Chain): void {
    this.#chain = undefined
    const pinned = pinnedOn(this.device)
    pinned.pending.delete(this)
    pinned.forget(this)
    for (const source of chain.sources) source.#unpin(this)
  }

  #unpin(reader: Storage): void {
    if (!this.#readers?.delete(reader) || this.#readers.size > 0) return
    this.#readers = undefined
    this.buffer.beforeWrite = undefined
    if (this.#owners > 0) return
    pinnedOn(this.device).remove(this)
    this.device.release(this.buffer)
  }
}
