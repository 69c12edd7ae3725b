import type { Device } from '../gpu/index.ts'
import type { Storage } from './storage.ts'

/** Bytes that chains may hold beyond what their results would take. */
const ALLOWANCE = 1 << 20

/**
 * Storages that nobody owns any more, kept in memory only because chains are to be computed from them. What these hold
 * beyond the size of the chains' results, which running each op at once would have taken, is at most the allowance:
 * above it, the oldest of the chains are computed.
 */
class Pinned {
  #bytes = 0
  /** The chains that read them, in the order in which the first of their sources was pinned, with their results' bytes. */
  readonly #chains = new Map<Storage, number>()
  #results = 0
  /** All chains of the device that are not computed. */
  readonly pending = new Set<Storage>()

  constructor(readonly device: Device) {}

  /** To be called when the last owner of `source` lets go while chains still read it. */
  add(source: Storage, readers: Iterable<Storage>): void {
    this.#bytes += source.bytes
    for (const reader of readers) {
      if (this.#chains.has(reader)) continue
      this.#chains.set(reader, reader.bytes)
      this.#results += reader.bytes
    }
    for (const chain of this.#chains.keys()) {
      if (this.#bytes - this.#results <= ALLOWANCE || !this.device.usable) return
      chain.buffer
    }
  }

  /** To be called when the last chain over a pinned source is gone. */
  remove(source: Storage): void {
    this.#bytes -= source.bytes
  }

  /** To be called when a chain is computed or dropped. */
  forget(chain: Storage): void {
    this.#results -= this.#chains.get(chain) ?? 0
    this.#chains.delete(chain)
  }
}

const byDevice = new WeakMap<Device, Pinned>()

/** The account of a device. */
export function pinnedOn(device: Device): Pinned {
  let pinned = byDevice.get(device)
  if (!pinned) {
    pinned = new Pinned(device)
    byDevice.set(device, pinned)
  }
  return pinned
}
