import type { Device } from '../gpu/index.ts'
import { type Prior, type PriorOptions, priorFromCheckpoint } from '../ld3m/index.ts'
import { openCheckpointFile } from './checkpoint.ts'

/**
 * Loads a prior's file, frozen, tensor by tensor: safetensors, PyTorch, or a sharded index.
 * @throws Ld3mError `data` if the file is missing or is not a prior, `shape` if its tensors do not fit
 */
export async function loadPrior(device: Device, path: string, options: PriorOptions = {}): Promise<Prior> {
  const checkpoint = await openCheckpointFile(path)
  try {
    return await priorFromCheckpoint(device, checkpoint, options)
  } finally {
    await checkpoint.close()
  }
}
