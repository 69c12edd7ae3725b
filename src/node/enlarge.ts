/** Interleaved bytes. */
export interface Interleaved {
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  readonly channels: number
}

/**
 * Enlarges an image by bilinear interpolation between the centres of pixels, as torchvision does. (libvips, which reduces
 * well, shifts what it enlarges by a part of a pixel.)
 */
export function enlarge(
  { data, width, height, channels }: Interleaved,
  toWidth: number,
  toHeight: number,
): Interleaved {
  const columns = taps(width, toWidth)
  const rows = taps(height, toHeight)
  const enlarged = new Uint8Array(toWidth * toHeight * channels)
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
  return { data: enlarged, width: toWidth, height: toHeight, channels }
}

/** For each place of an enlarged axis the two nearest of the original, and how far it lies from the first to the second. */
function taps(from: number, to: number): [first: number, second: number, share: number][] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1)
    const first = Math.floor(place)
    return [first, Math.min(first + 1, from - 1), place - first]
  })
}
