import type { ErrorCode } from '../errors.ts'
import type { ParquetColumns, ParquetImages } from '../io/index.ts'

/** What the thread that decodes Parquet files is asked: to open a file, or for the images of some of its rows. */
export interface ParquetRequest {
  readonly path: string
  readonly columns: ParquetColumns
  readonly rows?: readonly [start: number, end: number]
}

/** What it answers, one request after the other; before the first, that it is ready. */
export type ParquetAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'opened'; readonly file: Omit<ParquetImages, 'images'> }
  | { readonly kind: 'images'; readonly images: Uint8Array[] }
  | { readonly kind: 'error'; readonly code: ErrorCode; readonly what: string; readonly fix: string }
