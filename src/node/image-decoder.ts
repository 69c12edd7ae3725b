import type { Sharp } from 'sharp'
import { dataError, Ld3mError, optionError } from '../errors.ts'
import { isCutShort } from './cut-short.ts'
import { enlarge, type Interleaved, type Square } from './enlarge.ts'

/** What images are decoded to. */
export interface ImageFormat {
  /** Height and width, pixels. */
  readonly size: number
  /** 3 for RGB, 1 for grey. Default 3. */
  readonly channels?: 1 | 3
}

/** Pixels in memory. */
export interface RawPixels extends Interleaved {
  readonly channels: 1 | 3
}

/** Decodes one image to bytes [C, size, size]; `source` names it in error messages. */
export type ImageDecoder = (image: Uint8Array | RawPixels, source: string) => Promise<Uint8Array>

/**
 * A decoder of JPEG, PNG and whatever else sharp reads. As torchvision's Resize and CenterCrop do, the shorter side is
 * resized to `size` and the longer one in proportion (rounded down), then the middle is cropped. The filter is a triangle
 * that widens with the reduction (bilinear with antialiasing); edges are continued, and a reduction by more than about
 * three first averages blocks of pixels. Before that EXIF's orientation is applied and transparent pixels are laid over
 * black. Grey is repeated over RGB; RGB becomes grey by its luminance.
 * @throws Ld3mError `option` for a size or channels that cannot be, or if sharp is not installed
 */
export async function openImageDecoder({ size, channels = 3 }: ImageFormat): Promise<ImageDecoder> {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw optionError(`Images cannot be decoded to a size of ${size}.`, 'Give size, a whole number of pixels ≥ 1.')
  }
  if (channels !== 1 && channels !== 3) {
    throw optionError(`Images cannot be decoded to ${channels} channels.`, 'Give 1 (grey) or 3 (RGB).')
  }
  const sharp = await loadSharp()
  return async (image, source) => {
    try {
      // 'error' refuses truncated files, and lets pass what decoders only warn of, as other readers do.
      const opened =
        image instanceof Uint8Array
          ? sharp(image, { failOn: 'error' })
          : sharp(image.data, { raw: { width: image.width, height: image.height, channels: image.channels } })
      return await decode(opened, size, channels)
    } catch (cause) {
      throw dataError(
        `Cannot read the image ${source}: ${reasonOf(cause, image)}.`,
        'Repair or remove it; nothing is left out silently.',
        cause,
      )
    }
  }
}

/** What sharp calls the format of a file, whatever its name; undefined where it knows none. */
export async function formatOf(path: string): Promise<string | undefined> {
  const sharp = await loadSharp()
  try {
    return (await sharp(path).metadata()).format
  } catch {
    return undefined
  }
}

async function decode(opened: Sharp, size: number, channels: 1 | 3): Promise<Uint8Array> {
  const { autoOrient } = await opened.metadata()
  const shorter = Math.min(autoOrient.width, autoOrient.height)
  const scaled = (side: number) => Math.floor((side * size) / shorter)
  const [width, height] = [scaled(autoOrient.width), scaled(autoOrient.height)]
  const kept = { left: middle(width - size), top: middle(height - size), size }
  const upright = opened
    .autoOrient()
    .flatten({ background: 'black' })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .raw()
  if (shorter < size) {
    return cropped(enlarge(await pixelsOf(upright), width, height, kept), { left: 0, top: 0, size })
  }
  return cropped(await pixelsOf(upright.resize(width, height, { fit: 'fill', kernel: 'linear' })), kept)
}

async function pixelsOf(image: Sharp): Promise<Interleaved> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: info.channels }
}

/** A square of an image, as planes [C, size, size]. */
function cropped({ data, width, channels }: Interleaved, { left, top, size }: Square): Uint8Array {
  const planes = new Uint8Array(channels * size * size)
  let at = 0
  for (let c = 0; c < channels; c++) {
    for (let y = top; y < top + size; y++) {
      for (let x = left; x < left + size; x++) planes[at++] = data[(y * width + x) * channels + c]!
    }
  }
  return planes
}

/** Half of what is cropped, rounded to even where it is odd, as torchvision does. */
function middle(excess: number): number {
  const half = Math.floor(excess / 2)
  return excess % 2 === 1 && half % 2 === 1 ? half + 1 : half
}

/** libvips keeps what went wrong in one place for all threads, where another decoding may have removed it. */
const FORGOTTEN = 'Unknown error'

/** Why an image cannot be read. */
function reasonOf(cause: unknown, image: Uint8Array | RawPixels): string {
  const said = firstLine(cause).replace(/:$/, '')
  const reason = said === FORGOTTEN ? undefined : said
  if (image instanceof Uint8Array && isCutShort(image)) {
    return `the file is cut short, its end is missing${reason === undefined ? '' : ` (${reason})`}`
  }
  return reason ?? 'its data is damaged'
}

const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]!

async function loadSharp(): Promise<typeof import('sharp')['default']> {
  try {
    const { default: sharp } = await import('sharp')
    return sharp
  } catch (cause) {
    throw new Ld3mError(
      'option',
      `Images are decoded by the npm package sharp, which cannot be loaded: ${firstLine(cause)}.`,
      'Run npm install sharp.',
      { cause },
    )
  }
}
