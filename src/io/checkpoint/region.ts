import { type ByteSource, brokenFile, readRange } from '../source.ts'

/** Bytes that are read at once where nobody asks for more. */
export const PIECE_BYTES = 2 ** 24

/** A checksum that a format gives for a region. */
export interface Checksum {
  readonly expected: number
  /** The checksum of what `seed` is the checksum of, followed by `bytes`. */
  update(bytes: Uint8Array, seed: number): number
}

/** A part of a file that belongs to one storage. Where there is a checksum, it has been verified before a part is read. */
export class Region {
  #verified: Promise<void> | undefined

  constructor(
    readonly source: ByteSource,
    /** For error messages. */
    readonly name: string,
    readonly start: number,
    readonly bytes: number,
    readonly checksum?: Checksum,
  ) {}

  /** Bytes `begin` to `end`, checked. */
  async read(begin: number, end: number): Promise<Uint8Array> {
    if (!this.#isWhole(begin, end)) await this.#verify()
    const bytes = await readRange(this.source, this.start + begin, end - begin)
    if (this.#isWhole(begin, end) && this.checksum) this.#check(this.checksum.update(bytes, 0))
    return bytes
  }

  /** Bytes `begin` to `end` in pieces of `pieceBytes`; throws after the last one if they are the whole and damaged. */
  async *pieces(begin: number, end: number, pieceBytes: number): AsyncGenerator<Uint8Array> {
    const whole = this.#isWhole(begin, end)
    if (!whole) await this.#verify()
    let sum = 0
    for (let at = begin; at < end; at += pieceBytes) {
      const piece = await readRange(this.source, this.start + at, Math.min(pieceBytes, end - at))
      if (whole && this.checksum) sum = this.checksum.update(piece, sum)
      yield piece
    }
    if (whole) this.#check(sum)
  }

  #isWhole(begin: number, end: number): boolean {
    return begin === 0 && end === this.bytes
  }

  #check(sum: number): void {
    if (!this.checksum || sum === this.checksum.expected) return
    throw brokenFile(this.source.name, `the checksum of ${this.name} does not fit its ${this.bytes} bytes`)
  }

  #verify(): Promise<void> {
    const run = async () => {
      for await (const _ of this.pieces(0, this.bytes, PIECE_BYTES));
    }
    if (this.#verified) return this.#verified
    const verified = this.checksum ? run() : Promise.resolve()
    this.#verified = verified
    verified.catch(() => {
      // What could not be read now may be read later.
      this.#verified = undefined
    })
    return verified
  }
}
