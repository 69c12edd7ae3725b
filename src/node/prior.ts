import { rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { type Prior, type PriorOptions, priorFromCheckpoint } from '../ld3m/index.ts'
import { type OpenCheckpointFileOptions, openCheckpointFile } from './checkpoint.ts'

export interface LoadPriorOptions extends PriorOptions, OpenCheckpointFileOptions {}

/**
 * Loads a prior's file, frozen, tensor by tensor: safetensors, PyTorch, or a sharded index.
 * @throws Ld3mError `data` if the file is missing or is not a prior, `shape` if its tensors do not fit
 */
export async function loadPrior(device: Device, path: string, options: LoadPriorOptions = {}): Promise<Prior> {
  rejectUnknownOptions('loadPrior', options, ['dtype', 'config', 'size', 'inert'])
  const { inert = [], ...ofPrior } = options
  const checkpoint = await openCheckpointFile(path, { inert })
  try {
    return await priorFromCheckpoint(device, checkpoint, ofPrior)
  } finally {
    await checkpoint.close()
  }
}
