import { readFile } from 'node:fs/promises'
import { dataError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { type Prior, type PriorOptions, priorFromSafetensors } from '../ld3m/index.ts'

/**
 * Loads a prior's safetensors file, frozen.
 * @throws Ld3mError `data` if the file is missing or is not a prior, `shape` if its tensors do not fit
 */
export async function loadPrior(device: Device, path: string, options: PriorOptions = {}): Promise<Prior> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (cause) {
    throw dataError(`Cannot read the prior ${path}: ${(cause as Error).message}.`, 'Make one with trainPrior.', cause)
  }
  return priorFromSafetensors(device, bytes, options)
}
