/** Pieces that are kept: neighbours are asked for one after the other. */
const KEPT = 8
/** Bytes of images that the pieces which are kept may have; the one that was asked for last may have more alone. */
const KEPT_BYTES = 2 ** 29

interface Piece {
  readonly images: Promise<readonly Uint8Array[]>
  /** 0 until they are there. */
  bytes: number
}

/** Encoded images that are read in pieces of a file, each once for all who ask for images of it one after the other. */
export class Pieces {
  // A Map keeps the order of insertion: what is asked for is put in again, so that the first is the oldest.
  readonly #kept = new Map<string, Piece>()

  /** The images of a piece, which `read` gives unless they are kept. */
  get(key: string, read: () => Promise<readonly Uint8Array[]>): Promise<readonly Uint8Array[]> {
    const piece = this.#kept.get(key) ?? this.#begin(key, read())
    this.#kept.delete(key)
    this.#kept.set(key, piece)
    this.#trim()
    return piece.images
  }

  #begin(key: string, images: Promise<readonly Uint8Array[]>): Piece {
    const piece: Piece = { images, bytes: 0 }
    images.then(
      (read) => {
        piece.bytes = read.reduce((sum, { length }) => sum + length, 0)
        this.#trim()
      },
      () => {
        // Whoever asks again has it read again.
        if (this.#kept.get(key) === piece) this.#kept.delete(key)
      },
    )
    return piece
  }

  #trim(): void {
    let bytes = [...this.#kept.values()].reduce((sum, piece) => sum + piece.bytes, 0)
    for (const [oldest, piece] of this.#kept) {
      if (this.#kept.size === 1 || (this.#kept.size <= KEPT && bytes <= KEPT_BYTES)) break
      this.#kept.delete(oldest)
      bytes -= piece.bytes
    }
  }
}
