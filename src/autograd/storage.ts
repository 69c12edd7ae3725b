import type { Device, GpuBuffer } from '../gpu/index.ts'

/** A GPU buffer shared by the tensors and graph nodes that refer to it; returned to the pool by the last of them. */
export class Storage {
  #references = 1

  constructor(
    readonly device: Device,
    readonly buffer: GpuBuffer,
  ) {}

  retain(): this {
    if (this.#references === 0) throw new Error('storage retained after its release')
    this.#references++
    return this
  }

  release(): void {
    if (this.#references === 0) throw new Error('storage released twice')
    if (--this.#references === 0) this.device.release(this.buffer)
  }
}
