/** Bytes that are read by range, so that a file need not fit into memory. */
export interface ByteSource {
  /** Names it in error messages. */
  readonly name: string
  /** Bytes in all. */
  readonly size: number
  /** The `length` bytes from `offset` on, a range within `size`. They may be a view of what the source holds. */
  read(offset: number, length: number): Promise<Uint8Array>
}
