import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { dataError } from '../errors.ts'
import type { TuningStore } from '../gpu/index.ts'
import { cacheFolder } from './cache.ts'
import { writeFileAtomic } from './files.ts'

/**
 * Keeps what the tuner measured in a folder, one file an adapter. Files are replaced as a whole, so that processes that
 * run at once find complete ones.
 * @param folder made when it is first written to. Default: `ld3m-gpu` in the user's cache folder
 */
export function tuningFolder(folder: string = cacheFolder()): TuningStore {
  return {
    async load(key) {
      try {
        return await readFile(join(folder, key), 'utf8')
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw dataError(`Cannot read ${key} in ${folder}: ${(cause as Error).message}.`, 'Make it readable.', cause)
      }
    },
    async save(key, text) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await writeFileAtomic(join(folder, key), text)
    },
  }
}
