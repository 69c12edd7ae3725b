import type { GpuBuffer } from './pool.ts'

interface Entry {
  readonly source: GpuBuffer
  /** The source's version that it was made from. */
  readonly version: number
  readonly buffer: GpuBuffer
}

/**
 * Buffers computed from the contents of others (weights in the order that a kernel wants them), kept until those
 * contents change, their source is released, or newer ones need the room.
 */
export class DerivedBuffers {
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(
    readonly budget: number,
    readonly release: (buffer: GpuBuffer) => void,
  ) {}

  /** What holds the same and goes its own way; `release` gets what it drops. */
  copy(release: (buffer: GpuBuffer) => void): DerivedBuffers {
    const copy = new DerivedBuffers(this.budget, release)
    for (const [name, entry] of this.#entries) copy.#entries.set(name, entry)
    copy.#bytes = this.#bytes
    return copy
  }

  /** The buffer that `make` gives for the present contents of `source`; it stays owned by this cache. */
  get(source: GpuBuffer, key: string, make: () => GpuBuffer): GpuBuffer {
    const name = `${source.id}:${key}`
    const found = this.#entries.get(name)
    this.#entries.delete(name)
    if (found?.version === source.version) {
      this.#entries.set(name, found)
      return found.buffer
    }
    if (found) this.#discard(found)
    const buffer = make()
    this.#bytes += buffer.bytes
    this.#entries.set(name, { source, version: source.version, buffer })
    source.derived = true
    for (const [old, entry] of this.#entries) {
      if (this.#bytes <= this.budget || old === name) break
      this.#entries.delete(old)
      this.#discard(entry)
    }
    return buffer
  }

  /** Drops what was computed from a buffer that is released. */
  forget(source: GpuBuffer): void {
    for (const [name, entry] of this.#entries) {
      if (entry.source !== source) continue
      this.#entries.delete(name)
      this.#discard(entry)
    }
  }

  /** Drops everything. */
  clear(): void {
    for (const entry of this.#entries.values()) this.#discard(entry)
    this.#entries.clear()
  }

  #discard(entry: Entry): void {
    this.#bytes -= entry.buffer.bytes
    this.release(entry.buffer)
  }
}
