/** Arrays by key, at most `capacity` bytes of them; those that were not asked for the longest go first. */
export class ByteCache {
  #bytes = 0
  // A Map keeps the order of insertion: what is asked for is put in again, so that the first is the oldest.
  readonly #entries = new Map<number, Uint8Array>()

  constructor(readonly capacity: number) {}

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: number): Uint8Array | undefined {
    const entry = this.#entries.get(key)
    if (entry) {
      this.#entries.delete(key)
      this.#entries.set(key, entry)
    }
    return entry
  }

  /** Keeps `entry` under a key that is not there. One that is larger than the whole cache is not kept. */
  add(key: number, entry: Uint8Array): void {
    if (entry.length > this.capacity) return
    this.#entries.set(key, entry)
    this.#bytes += entry.length
    for (const [oldest, { length }] of this.#entries) {
      if (this.#bytes <= this.capacity) break
      this.#entries.delete(oldest)
      this.#bytes -= length
    }
  }
}
