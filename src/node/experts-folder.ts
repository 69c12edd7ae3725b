import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { dataError } from '../errors.ts'
import type { ExpertStore } from '../ld3m/index.ts'
import { readIfThere, writeFileAtomic } from './files.ts'

/**
 * A folder of expert trajectories: `manifest.json`, and a folder an expert with a safetensors file an epoch. Files are
 * replaced as a whole, so that training that was killed leaves only complete ones.
 * @param folder made when it is first written to
 */
export function expertsFolder(folder: string): ExpertStore {
  return {
    read: (name) => readIfThere(join(folder, name)),
    async write(name, bytes) {
      const path = join(folder, name)
      try {
        await mkdir(dirname(path), { recursive: true })
      } catch (cause) {
        const what = `Cannot make the folder ${dirname(path)}: ${(cause as Error).message}.`
        throw dataError(what, 'Give a folder that can be written.', cause)
      }
      await writeFileAtomic(path, bytes)
    },
  }
}
