/** Interleaved bytes. */
export interface Interleaved {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: number
}

/** A square of an image: the place of its first pixel, and its sides. */
export interface Square {
  readonly left: number
  readonly top: number
  readonly size: number
}

/**
 * A square of an image that is enlarged to `toWidth` by `toHeight`, by bilinear interpolation between the centres of pixels,
 * as torchvision does. (libvips, which reduces well, shifts what it enlarges by a part of a pixel.) Nothing else is
 * computed: a line of pixels would become millions of columns.
 */
export function enlarge(
  { data, width, height, channels }: Interleaved,
  toWidth: number,
  toHeight: number,
  { left: fromColumn, top: fromRow, size }: Square,
): Interleaved {
  const columns = taps(width, toWidth, fromColumn, size)
  const rows = taps(height, toHeight, fromRow, size)
  const enlarged = new Uint8Array(size * size * channels)
  let at = 0
  for (const [top, bottom, down] of rows) {
    for (const [left, right, across] of columns) {
      for (let c = 0; c < channels; c++) {
        const pixel = (row: number, column: number) => data[(row * width + column) * channels + c]!
        const above = pixel(top, left) + across * (pixel(top, right) - pixel(top, left))
        const below = pixel(bottom, left) + across * (pixel(bottom, right) - pixel(bottom, left))
        enlarged[at++] = Math.round(above + down * (below - above))
      }
    }
  }
  return { data: enlarged, width: size, height: size, channels }
}

/**
 * For `count` places of an enlarged axis from `start` on the two nearest of the original, and how far each lies from the
 * first to the second.
 */
function taps(
  from: number,
  to: number,
  start: number,
  count: number,
): [first: number, second: number, share: number][] {
  return Array.from({ length: count }, (_, i) => {
    const place = Math.min(Math.max(((start + i + 0.5) * from) / to - 0.5, 0), from - 1)
    const first = Math.floor(place)
    return [first, Math.min(first + 1, from - 1), place - first]
  })
}
