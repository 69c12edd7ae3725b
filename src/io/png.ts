import { convertIndexedToRgb, type DecodedPng, decode, encode, hasPngSignature } from 'fast-png'
import { dataError, shapeError } from '../errors.ts'

/** An image of 8-bit samples, interleaved: `data[(y * width + x) * channels + c]`. */
export interface PngImage {
  readonly width: number
  readonly height: number
  /** 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4
  /** `height * width * channels` samples from 0 to 255. */
  readonly data: Uint8Array
}

/** No deflate stream is longer than this times its compressed length. */
const MAX_DEFLATE_RATIO = 1032

/**
 * The bytes of a PNG file. The same image gives the same bytes on every machine.
 * @throws Ld3mError `shape` if a side is not a positive whole number or `data` does not fit
 */
export function encodePng({ width, height, channels, data }: PngImage): Uint8Array<ArrayBuffer> {
  const positive = [width, height].every((side) => Number.isInteger(side) && side > 0)
  if (!positive || ![1, 2, 3, 4].includes(channels) || data.length !== width * height * channels) {
    throw shapeError(
      `encodePng: an image of ${width}×${height} pixels and ${channels} channels cannot hold ${data.length} samples.`,
      'Give positive sides, 1 to 4 channels and height × width × channels interleaved samples.',
    )
  }
  return new Uint8Array(encode({ width, height, channels, data, depth: 8 }, { zlib: { level: 9 } }))
}

/**
 * Decodes a PNG file to 8-bit samples: palettes become RGB (or RGB and alpha), 16-bit samples are rounded and
 * 1- to 4-bit greys are spread over 0 to 255. Checksums are verified. A colour key of a grey or RGB image is not
 * applied, since it would turn opaque training images into images with alpha.
 * @param source names the file in error messages
 * @throws Ld3mError `data` if the file is damaged, no PNG, or interlaced with less than 8 bits a sample
 */
export function decodePng(bytes: Uint8Array, source = 'the PNG data'): PngImage {
  if (!hasPngSignature(bytes.subarray(0, 8))) {
    throw dataError(`Cannot read ${source}: it is not a PNG file.`, 'Convert the image to PNG.')
  }
  checkHeader(bytes, source)
  try {
    const png = decode(bytes, { checkCrc: true })
    const { width, height } = png
    if (png.palette) {
      const channels = png.palette[0]?.length === 4 ? 4 : 3
      return { width, height, channels, data: convertIndexedToRgb(png) }
    }
    return { width, height, channels: png.channels as PngImage['channels'], data: toEightBits(png) }
  } catch (cause) {
    throw dataError(`Cannot read ${source}: its PNG data is damaged.`, 'Fetch or write it again.', cause)
  }
}

/** Refuses sizes that the file cannot hold, before anything of that size is allocated. */
function checkHeader(bytes: Uint8Array, source: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 33 || view.getUint32(12) !== 0x49484452) {
    throw dataError(`Cannot read ${source}: its PNG header is missing.`, 'Fetch or write it again.')
  }
  const [width, height, depth, interlaced] = [view.getUint32(16), view.getUint32(20), bytes[24]!, bytes[28] === 1]
  if (width === 0 || height === 0 || (width * height * depth) / 8 > bytes.length * MAX_DEFLATE_RATIO) {
    throw dataError(
      `Cannot read ${source}: ${bytes.length} bytes cannot hold its announced ${width}×${height} pixels.`,
      'The file is damaged; fetch or write it again.',
    )
  }
  if (interlaced && depth < 8) {
    throw dataError(
      `Cannot read ${source}: it is interlaced with ${depth} bits a sample, which is not supported.`,
      'Save it without interlacing.',
    )
  }
}

function toEightBits({ width, height, depth, data }: DecodedPng): Uint8Array {
  if (depth === 8) return data as Uint8Array
  if (depth === 16) return Uint8Array.from(data, (sample) => Math.round(sample / 257))
  // Only grey images have fewer than 8 bits a sample; rows are packed and start on a whole byte.
  const grey = new Uint8Array(width * height)
  const rowBytes = Math.ceil((width * depth) / 8)
  const white = 2 ** depth - 1
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const bit = x * depth
      const packed = data[y * rowBytes + (bit >> 3)]!
      grey[y * width + x] = (((packed >> (8 - depth - (bit & 7))) & white) * 255) / white
    }
  }
  return grey
}
