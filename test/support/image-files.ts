import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import sharp from 'sharp'
import { onTestFinished } from 'vitest'

/** Interleaved pixels. */
export interface Pixels {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3 | 4
}

/** A picture of a formula over x, y and channel. */
export function picture(
  width: number,
  height: number,
  channels: Pixels['channels'],
  value: (x: number, y: number, c: number) => number,
): Pixels {
  const data = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) data[(y * width + x) * channels + c] = value(x, y, c)
    }
  }
  return { data, width, height, channels }
}

const opened = ({ data, width, height, channels }: Pixels) => sharp(data, { raw: { width, height, channels } })

export const png = async (pixels: Pixels): Promise<Uint8Array> => new Uint8Array(await opened(pixels).png().toBuffer())

/** A JPEG, with an EXIF orientation from 1 to 8 if one is given. */
export const jpeg = async (pixels: Pixels, orientation?: number): Promise<Uint8Array> =>
  new Uint8Array(
    await opened(pixels)
      .withMetadata(orientation === undefined ? {} : { orientation })
      .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
      .toBuffer(),
  )

/** One colour, as RGB. */
export const plain = (red: number, green: number, blue: number, width = 12, height = 10): Pixels =>
  picture(width, height, 3, (_x, _y, c) => [red, green, blue][c]!)

/** A folder with files by path, removed after the test. */
export async function folderOf(files: Readonly<Record<string, Uint8Array | string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-data-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  return folder
}

/** Records of CIFAR's binary version with the given label bytes; pixels follow from the record and the place. */
export const records = (...labels: number[][]): Uint8Array =>
  Uint8Array.from(labels.flatMap((own, n) => [...own, ...Array.from({ length: 3072 }, (_, i) => (n * 5 + i) % 256)]))

export interface ParquetOptions {
  /** Of the feature ClassLabel; none: no metadata of Hugging Face. */
  readonly classNames?: readonly string[]
  readonly image?: string
  readonly label?: string
  readonly rowGroupSize?: number
  readonly pageSize?: number
  readonly codec?: 'SNAPPY' | 'UNCOMPRESSED' | 'GZIP'
  readonly offsetIndex?: boolean
}

/** A Parquet file with a column of structs { bytes, path } and one of labels, as `datasets` writes them. */
export function parquet(
  rows: readonly { image: Uint8Array | null; label: number | string }[],
  options: ParquetOptions = {},
): Uint8Array {
  const { classNames, image = 'image', label = 'label', offsetIndex = true, codec = 'SNAPPY', ...sizes } = options
  const text = typeof rows[0]?.label === 'string'
  const features = { [image]: { _type: 'Image' }, [label]: { names: classNames, _type: 'ClassLabel' } }
  const write = { codec, ...sizes, compressors: { GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)) } }
  return new Uint8Array(
    parquetWriteBuffer({
      ...write,
      columnData: [
        { name: image, data: rows.map((row) => ({ bytes: row.image, path: null })), offsetIndex },
        { name: label, data: rows.map((row) => (text ? row.label : BigInt(row.label))), offsetIndex },
      ],
      schema: [
        { name: 'root', num_children: 2 },
        { name: image, num_children: 2, repetition_type: 'OPTIONAL' },
        { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
        { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        text
          ? { name: label, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }
          : { name: label, type: 'INT64', repetition_type: 'OPTIONAL' },
      ],
      ...(classNames && { kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }] }),
    }),
  )
}
