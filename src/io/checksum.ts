/**
 * The CRC-32 of the bytes of arrays, one after the other, as eight hexadecimal digits: tells data apart that differ by
 * mistake, not by intent. Arrays may come one by one, so that they need not be in memory at once.
 */
export async function checksum(arrays: Iterable<ArrayBufferView> | AsyncIterable<ArrayBufferView>): Promise<string> {
  const { default: crc32 } = await import('crc-32')
  let sum = 0
  for await (const { buffer, byteOffset, byteLength } of arrays) {
    sum = crc32.buf(new Uint8Array(buffer, byteOffset, byteLength), sum)
  }
  return (sum >>> 0).toString(16).padStart(8, '0')
}
