import { zipSync } from 'fflate'
import { dataError } from '../errors.ts'
import { type NpyArray, writeNpy } from './npy.ts'

/** The zip's sizes have 32 bits; Python's own writer goes over to 64 here too. */
const MAX_BYTES = 2 ** 31
/** The format's first day, as NumPy writes it, so that the same arrays give the same bytes. */
const MODIFIED = new Date(1980, 0, 1)

/**
 * The bytes of a `.npz` file, which `np.load` reads: a zip with a `.npy` file an array. They are stored, as `np.savez` does.
 * The same arrays give the same bytes on every machine.
 * @throws Ld3mError `data` if the arrays have more than 2 GiB, and as `writeNpy` does
 */
export function writeNpz(arrays: ReadonlyMap<string, NpyArray>): Uint8Array<ArrayBuffer> {
  let bytes = 0
  for (const array of arrays.values()) if ('dtype' in array) bytes += array.data.byteLength
  if (bytes > MAX_BYTES) {
    throw dataError(`An npz file of ${bytes} bytes cannot be written: 2 GiB is the most.`, 'Save it as safetensors.')
  }
  const files = Object.fromEntries([...arrays].map(([name, array]) => [`${name}.npy`, writeNpy(array)]))
  return zipSync(files, { level: 0, mtime: MODIFIED })
}
