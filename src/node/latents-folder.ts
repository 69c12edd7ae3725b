import { readdir } from 'node:fs/promises'
import type { HostTensor } from '../models/index.ts'
import { type RunDirectory, readTensors } from './files.ts'

const NAME = /^latents-\d+\.safetensors$/

/** The latents of a dataset as they are encoded, in files of what came since the one before. */
export class LatentsFolder {
  #pending: HostTensor[] = []
  /** Images whose latents are in files. */
  #saved = 0

  constructor(readonly folder: RunDirectory) {}

  /**
   * What is there, in order.
   * @throws Ld3mError `data` if a file is damaged
   */
  async read(): Promise<HostTensor[]> {
    const names = (await readdir(this.folder.path)).filter((name) => NAME.test(name)).sort()
    const found: HostTensor[] = []
    for (const name of names) {
      const { tensors } = await readTensors(this.folder.pathOf(name))
      for (const { shape, data } of tensors.values()) found.push({ shape, data: data as Float32Array })
    }
    this.#saved = found.reduce((n, { shape }) => n + (shape[0] as number), 0)
    return found
  }

  /** Takes latents, to be saved with the next `save`. */
  add(latents: HostTensor): void {
    this.#pending.push(latents)
  }

  /** Writes what came since the last time. */
  async save(): Promise<void> {
    const batches = this.#pending.splice(0)
    if (batches.length === 0) return
    // As many digits as numbers have, so that names are in the order of images.
    const name = `latents-${String(this.#saved).padStart(12, '0')}.safetensors`
    const entries = batches.map(({ shape, data }, i) => [String(i).padStart(6, '0'), shape, data] as const)
    const tensors = entries.map(([key, shape, data]) => [key, { dtype: 'F32', shape, data }] as const)
    await this.folder.writeTensors(name, new Map(tensors))
    this.#saved += batches.reduce((n, { shape }) => n + (shape[0] as number), 0)
  }
}
