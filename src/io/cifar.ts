import { dataError } from '../errors.ts'

/** Side of the images. */
export const CIFAR_SIZE = 32
const IMAGE_BYTES = 3 * CIFAR_SIZE * CIFAR_SIZE

/** What a file of CIFAR's binary version holds. */
export interface CifarArrays {
  /** [N, labels a record]: one for CIFAR-10; the coarse and the fine one for CIFAR-100. */
  readonly labels: Uint8Array<ArrayBuffer>
  /** [N, 3, 32, 32], row-major. */
  readonly images: Uint8Array<ArrayBuffer>
}

/**
 * Reads a file of CIFAR's binary version: records of one or two label bytes and 3,072 bytes of red, green and blue planes
 * (Krizhevsky 2009).
 * @param labelsPerRecord 1 for CIFAR-10, 2 for CIFAR-100
 * @param source names the file in error messages
 * @throws Ld3mError `data` if the file is empty or ends inside a record
 */
export function readCifar(bytes: Uint8Array, labelsPerRecord: 1 | 2, source = 'the CIFAR data'): CifarArrays {
  const recordBytes = labelsPerRecord + IMAGE_BYTES
  const count = Math.floor(bytes.length / recordBytes)
  if (count === 0 || bytes.length % recordBytes !== 0) {
    throw dataError(
      `Cannot read ${source}: it has ${bytes.length} bytes, which is not a whole number of records of ${recordBytes}.`,
      `The file is truncated or not CIFAR-${labelsPerRecord === 1 ? 10 : 100}'s binary version; fetch it again.`,
    )
  }
  const labels = new Uint8Array(count * labelsPerRecord)
  const images = new Uint8Array(count * IMAGE_BYTES)
  for (let n = 0; n < count; n++) {
    const image = n * recordBytes + labelsPerRecord
    labels.set(bytes.subarray(n * recordBytes, image), n * labelsPerRecord)
    images.set(bytes.subarray(image, image + IMAGE_BYTES), n * IMAGE_BYTES)
  }
  return { labels, images }
}
