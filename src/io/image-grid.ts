import { givenOptions, Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import { encodePng } from './png.ts'

export interface ImageGridOptions {
  /** The images, row-major [N, C, H, W], values in [0, 1]; values outside are clamped. */
  readonly images: Float32Array
  /** [N, C, H, W] with C = 1 (grey) or 3 (RGB), all at least 1. */
  readonly shape: readonly number[]
  /** Images in a row. Default: the smallest square that holds all. */
  readonly columns?: number
  /** Pixels of the PNG between images and around them. Default 2. */
  readonly padding?: number
  /** Side of the square that one image pixel becomes. Default 1. */
  readonly scale?: number
  /** Grey level of the padding and of empty cells, 0 to 1. Default 1, white. */
  readonly background?: number
}

const DEFAULTS = { padding: 2, scale: 1, background: 1 }

/**
 * A PNG file that shows images in rows, each pixel repeated `scale` times without smoothing.
 * @throws Ld3mError `shape` if `shape` is not [N, 1 or 3, H, W] or does not fit `images`, `option` for an option
 * out of range, `numeric` if a value is NaN or infinite
 */
export function imageGrid(options: ImageGridOptions): Uint8Array<ArrayBuffer> {
  rejectUnknownOptions('imageGrid', options, ['images', 'shape', 'columns', 'padding', 'scale', 'background'])
  const { images, shape } = options
  const [count, channels, height, width] = checkImages(images, shape)
  const { padding, scale, background } = { ...DEFAULTS, ...givenOptions(options) }
  const columns = options.columns ?? Math.ceil(Math.sqrt(count))
  checkWhole('columns', columns, 1)
  checkWhole('padding', padding, 0)
  checkWhole('scale', scale, 1)
  if (!(background >= 0 && background <= 1)) {
    throw optionError(`imageGrid: background is ${background}.`, 'Give a grey level from 0 to 1.')
  }

  const [cellHeight, cellWidth] = [height * scale + padding, width * scale + padding]
  const gridWidth = Math.min(columns, count) * cellWidth + padding
  const gridHeight = Math.ceil(count / columns) * cellHeight + padding
  const data = new Uint8Array(gridHeight * gridWidth * channels).fill(Math.round(background * 255))
  for (let n = 0; n < count; n++) {
    const top = padding + Math.floor(n / columns) * cellHeight
    const left = padding + (n % columns) * cellWidth
    for (let c = 0; c < channels; c++) {
      const plane = (n * channels + c) * height * width
      for (let y = 0; y < height * scale; y++) {
        const from = plane + Math.floor(y / scale) * width
        let to = ((top + y) * gridWidth + left) * channels + c
        for (let x = 0; x < width * scale; x++, to += channels) {
          data[to] = Math.round(Math.min(1, Math.max(0, images[from + Math.floor(x / scale)]!)) * 255)
        }
      }
    }
  }
  return encodePng({ width: gridWidth, height: gridHeight, channels, data })
}

function checkImages(images: Float32Array, shape: readonly number[]): [number, 1 | 3, number, number] {
  const [count, channels, height, width] = shape as [number, number, number, number]
  const whole = shape.length === 4 && shape.every((size) => Number.isSafeInteger(size) && size > 0)
  if (!whole || (channels !== 1 && channels !== 3)) {
    throw shapeError(`imageGrid: shape is [${shape.join(', ')}].`, 'Give [N, C, H, W] with C = 1 or 3, all at least 1.')
  }
  if (images.length !== count * channels * height * width) {
    throw shapeError(
      `imageGrid: images has ${images.length} values, but shape [${shape.join(', ')}] asks for ` +
        `${count * channels * height * width}.`,
      'Give the shape that the images have.',
    )
  }
  const bad = images.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) {
    const image = Math.floor(bad / (channels * height * width))
    throw new Ld3mError(
      'numeric',
      `imageGrid: image ${image} has the value ${images[bad]}.`,
      'Give finite values in [0, 1].',
    )
  }
  return [count, channels, height, width]
}

function checkWhole(name: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw optionError(`imageGrid: ${name} is ${value}.`, `Give a whole number of at least ${least}.`)
  }
}
