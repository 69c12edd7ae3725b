const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

/** How files of a format begin and end. */
const FORMATS: readonly { readonly start: Uint8Array; readonly end: Uint8Array }[] = [
  { start: bytes('\xff\xd8\xff'), end: bytes('\xff\xd9') }, // JPEG: the marker EOI
  { start: bytes('\x89PNG'), end: bytes('IEND\xae\x42\x60\x82') }, // the chunk IEND with its checksum
  { start: bytes('GIF8'), end: bytes(';') }, // the trailer
]

/** Whether a JPEG, PNG or GIF that cannot be decoded lacks its end, as an interrupted copy does. */
export function isCutShort(file: Uint8Array): boolean {
  const format = FORMATS.find(({ start }) => isAt(file, start, 0))
  // Some programs fill files up with zeros.
  return format !== undefined && !isAt(file, format.end, lengthWithoutZeros(file) - format.end.length)
}

const isAt = (file: Uint8Array, part: Uint8Array, offset: number): boolean =>
  offset >= 0 && part.every((byte, i) => file[offset + i] === byte)

function lengthWithoutZeros(file: Uint8Array): number {
  let length = file.length
  while (length > 0 && file[length - 1] === 0) length--
  return length
}
