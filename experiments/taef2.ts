// TAEF2, a pretrained autoencoder of photographs, from its two published files.
import { join } from 'node:path'
import type { Tensor } from '../src/autograd/index.ts'
import type { Device } from '../src/gpu/index.ts'
import type { TrainedAutoencoder } from '../src/ld3m/index.ts'
import { autoencoder, loadCheckpoint, type Module, tinyPresets } from '../src/models/index.ts'
import { openCheckpointFile } from '../src/node/index.ts'

/** @param folder of taef2_encoder.pth and taef2_decoder.pth */
export async function loadTaef2(device: Device, folder: string): Promise<TrainedAutoencoder> {
  const { parameters } = autoencoder(tinyPresets.taef2)
  /** The published files hold one half each, without its name. */
  const half = async (name: 'encoder' | 'decoder'): Promise<Record<string, Tensor>> => {
    const checkpoint = await openCheckpointFile(join(folder, `taef2_${name}.pth`))
    const own = Object.entries(parameters).filter(([key]) => key.startsWith(`${name}.`))
    const module: Pick<Module, 'parameters'> = {
      parameters: Object.fromEntries(own.map(([key, spec]) => [key.slice(name.length + 1), spec])),
    }
    const state = await loadCheckpoint(device, module, checkpoint)
    await checkpoint.close()
    return Object.fromEntries(Object.entries(state).map(([key, t]) => [`${name}.${key}`, t]))
  }
  return { options: tinyPresets.taef2, state: { ...(await half('encoder')), ...(await half('decoder')) } }
}
