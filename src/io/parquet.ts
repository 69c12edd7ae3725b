import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import { dataError, Ld3mError, rejectUnknownOptions } from '../errors.ts'
import type { ByteSource } from './source.ts'

export interface ParquetColumns {
  /** Column of encoded images. Default: the only one of the feature type Image, else the only one of that layout. */
  readonly image?: string
  /** Column of labels. Default: the only one of the feature type ClassLabel, else `label` or `labels`. */
  readonly label?: string
}

/** A Parquet file of encoded images with labels, as Hugging Face's `datasets` writes them. */
export interface ParquetImages {
  /** The file's, for error messages. */
  readonly name: string
  /** One a row: numbers, or names where the column holds text. */
  readonly labels: readonly (number | string)[]
  /** What the label column's metadata calls the classes. */
  readonly classNames: readonly string[] | undefined
  /** First row of each piece that is best read at once, and at the end the number of rows. */
  readonly pieces: readonly number[]
  /** The encoded images (JPEG, PNG) of rows `start` to before `end`. */
  images(start: number, end: number): Promise<Uint8Array[]>
}

/** What 16-bit labels can tell apart. Larger numbers are times or identifiers. */
export const MAX_CLASSES = 65_536

/** What writers commonly give a page. */
const PAGE_BYTES = 2 ** 20

/** Codecs that the reader has built in; others are loaded when a file needs them. */
const BUILT_IN = ['UNCOMPRESSED', 'SNAPPY']

/**
 * Opens a Parquet file of images: reads its metadata and the labels, not the images.
 * @throws Ld3mError `data` if it is damaged, no Parquet file, or its columns cannot be told apart; `option` for an unknown
 * option
 */
export async function openParquetImages(file: ByteSource, columns: ParquetColumns = {}): Promise<ParquetImages> {
  rejectUnknownOptions('openParquetImages', columns, ['image', 'label'])
  const source = file.name
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      if (cause instanceof Ld3mError) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw dataError(`Cannot read ${what} of ${source}: ${why}.`, 'The file is damaged or no Parquet file.', cause)
    }
  }
  const slice = async (start: number, end: number) => {
    const bytes = await file.read(start, end - start)
    // The reader wants a buffer of exactly these bytes.
    const exact = bytes.length === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer
    return exact ? bytes.buffer : new Uint8Array(bytes).buffer
  }
  const buffer: AsyncBuffer = {
    byteLength: file.size,
    slice: (start, end = file.size) => {
      const bytes = slice(start, end)
      // The reader reads ahead, and waits for no other read once one has failed.
      bytes.catch(() => undefined)
      return bytes
    },
  }
  const metadata = await attempt('the metadata', () => parquetMetadataAsync(buffer))
  const layout = await attempt('the columns', async () => findColumns(metadata, columns, source))
  const compressors = await compressorsFor(metadata)
  const read = async (column: string, rowStart: number, rowEnd: number): Promise<unknown[]> => {
    const rows = await parquetReadObjects({
      ...{ file: buffer, metadata, columns: [column], rowStart, rowEnd, utf8: false, useOffsetIndex: true },
      ...(compressors && { compressors }),
    })
    if (rows.length !== rowEnd - rowStart) throw new Error(`there are ${rows.length} of ${rowEnd - rowStart} rows`)
    return rows.map((row) => row[column])
  }
  const rows = Number(metadata.num_rows)
  const labels = await attempt('the labels', async () =>
    (await read(layout.label, 0, rows)).map((value, n) => labelOf(value, n, layout.label, source)),
  )
  const pieces = await attempt('the row groups', async () => piecesOf(metadata, layout.image))
  return {
    name: source,
    labels,
    classNames: layout.classNames,
    pieces,
    images: (start, end) =>
      attempt(`the images of rows ${start} to ${end - 1}`, async () =>
        (await read(layout.image, start, end)).map((value, n) => bytesOf(value, start + n, layout, source)),
      ),
  }
}

interface Layout {
  readonly image: string
  readonly label: string
  readonly classNames: readonly string[] | undefined
}

/** A feature as `datasets` describes it in the metadata `huggingface`. */
interface Feature {
  readonly _type?: string
  readonly names?: unknown
}

function findColumns(metadata: FileMetaData, wanted: ParquetColumns, source: string): Layout {
  const features = featuresOf(metadata)
  const columns = parquetSchema(metadata).children
  const names = columns.map(({ element }) => element.name)
  const featured = (type: string) => names.filter((name) => features[name]?._type === type)
  const structs = columns
    .filter(({ children }) => children.some(({ element }) => element.name === 'bytes' && element.type === 'BYTE_ARRAY'))
    .map(({ element }) => element.name)
  const usual = names.filter((name) => name === 'label' || name === 'labels')
  const choose = (kind: 'image' | 'label', candidates: readonly (readonly string[])[]): string => {
    const asked = wanted[kind]
    const found = asked === undefined ? (candidates.find(({ length }) => length > 0) ?? []) : [asked]
    const [name] = found
    if (found.length === 1 && name !== undefined && names.includes(name)) return name
    throw dataError(
      asked !== undefined
        ? `${source} has no column '${asked}'.`
        : `${source} has ${found.length === 0 ? 'no' : `${found.length}`} ${kind} columns (${found.join(', ') || 'none'}).`,
      `Name one with the option ${kind}Column: there are ${names.join(', ')}.`,
    )
  }
  const label = choose('label', [featured('ClassLabel'), usual])
  const classNames = features[label]?.names ?? undefined
  if (classNames !== undefined && !isListOfTexts(classNames)) {
    throw dataError(
      `The metadata of ${source} names the classes of '${label}' by what is no list of texts.`,
      'Write the file again with a name for each class.',
    )
  }
  return { image: choose('image', [featured('Image'), structs]), label, classNames }
}

const isListOfTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((text) => typeof text === 'string')

function featuresOf({ key_value_metadata: entries = [] }: FileMetaData): Readonly<Record<string, Feature>> {
  const text = entries.find(({ key }) => key === 'huggingface')?.value
  return text === undefined ? {} : (JSON.parse(text)?.info?.features ?? {})
}

/** Row groups, or about a page of each where an index says where pages begin. */
function piecesOf({ row_groups }: FileMetaData, image: string): number[] {
  const pieces = [0]
  for (const { num_rows, columns } of row_groups) {
    // Of a struct's columns the bytes are what counts: that of file names is small.
    const sizes = columns
      .filter(({ meta_data }) => meta_data?.path_in_schema[0] === image)
      .map((column) => ({ column, bytes: Number(column.meta_data?.total_uncompressed_size ?? 0) }))
    const { column, bytes } = sizes.reduce((a, b) => (b.bytes > a.bytes ? b : a))
    const indexed = column.offset_index_offset !== undefined
    const start = pieces.at(-1)!
    const rows = Number(num_rows)
    const count = indexed ? Math.min(rows, Math.ceil(bytes / PAGE_BYTES)) : 1
    for (let i = 1; i <= count; i++) pieces.push(start + Math.floor((i * rows) / count))
  }
  return pieces
}

async function compressorsFor({ row_groups }: FileMetaData) {
  const codecs = row_groups.flatMap(({ columns }) => columns.map(({ meta_data }) => meta_data?.codec ?? 'UNCOMPRESSED'))
  if (codecs.every((codec) => BUILT_IN.includes(codec))) return undefined
  return (await import('hyparquet-compressors')).compressors
}

function labelOf(value: unknown, row: number, column: string, source: string): number | string {
  const label = typeof value === 'bigint' ? Number(value) : value
  if (typeof label === 'string') return label
  if (typeof label === 'number' && Number.isSafeInteger(label) && label >= 0 && label < MAX_CLASSES) return label
  throw dataError(
    `Row ${row} of ${source} has ${label === null || label === undefined ? 'no label' : `the label ${label}`} in '${column}'.`,
    `Labels are whole numbers from 0 to ${MAX_CLASSES - 1} or names; a split without labels has -1. Use another split, or ` +
      'name another column with labelColumn.',
  )
}

function bytesOf(value: unknown, row: number, { image }: Layout, source: string): Uint8Array {
  const bytes = value instanceof Uint8Array ? value : (value as { bytes?: unknown } | null)?.bytes
  if (bytes instanceof Uint8Array) return bytes
  throw dataError(
    `Row ${row} of ${source} holds no image bytes in '${image}'.`,
    'Images must be embedded in the file, as datasets does with embed_external_files.',
  )
}
