/** CRC-32 as PNG and zip have it, bit by bit. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}

/**
 * The records of a zip of stored files, by the format's specification: from the end of the directory to the directory, and
 * from there to each local header, which must agree. Throws if anything else is there, or a checksum is wrong.
 */
export function readStoredZip(zip: Uint8Array): Map<string, Uint8Array> {
  const view = new DataView(zip.buffer, zip.byteOffset, zip.byteLength)
  const check = (what: string, found: number, expected: number): void => {
    if (found !== expected) throw new Error(`${what} is ${found}, expected ${expected}`)
  }
  const end = zip.length - 22
  check('the signature of the end', view.getUint32(end, true), 0x06054b50)
  const [count, directory] = [view.getUint16(end + 10, true), view.getUint32(end + 16, true)]
  check('the length of the directory', directory + view.getUint32(end + 12, true), end)
  const files = new Map<string, Uint8Array>()
  let at = directory
  let expectedStart = 0
  for (let i = 0; i < count; i++) {
    check('the signature of an entry', view.getUint32(at, true), 0x02014b50)
    check('the method', view.getUint16(at + 10, true), 0)
    const bytes = view.getUint32(at + 24, true)
    check('the stored size', view.getUint32(at + 20, true), bytes)
    const nameLength = view.getUint16(at + 28, true)
    const name = new TextDecoder().decode(zip.subarray(at + 46, at + 46 + nameLength))
    const local = view.getUint32(at + 42, true)
    check('the place of a file', local, expectedStart)
    check('the signature of a file', view.getUint32(local, true), 0x04034b50)
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
    const content = zip.subarray(start, start + bytes)
    check('the checksum', crc32(content), view.getUint32(at + 16, true))
    check('the checksum of the local header', view.getUint32(local + 14, true), view.getUint32(at + 16, true))
    if (files.has(name)) throw new Error(`${name} is there twice`)
    files.set(name, content)
    expectedStart = start + bytes
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  check('the end of the entries', at, end)
  return files
}
