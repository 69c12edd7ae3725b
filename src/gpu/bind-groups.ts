import type { GpuBuffer } from './pool.ts'

/** What the bindings of kernels look like; kernels with equal bindings share one. */
export interface BindingLayout {
  readonly id: number
  readonly handle: GPUBindGroupLayout
}

interface CachedGroup {
  readonly layout: BindingLayout
  readonly buffers: readonly GpuBuffer[]
  readonly handle: GPUBindGroup
  /** Another group of the same hash. */
  readonly next: CachedGroup | undefined
}

/** What the host can do about memory that a driver holds for bind groups, of which JavaScript sees nothing. */
export interface Housekeeping {
  /** Frees what JavaScript holds no longer. */
  collect(): void
  /** Throws if the process is about to run out of what the driver needs. */
  check(): void
}

/** Bind groups kept before the cache is emptied: loops with stable shapes need far fewer. */
const MAX_BIND_GROUPS = 12_000
/** New bind groups after which the host checks what is left. */
const CHECK_EVERY = 4_000

/** For arrays of one layout, which are equally long. */
function sameBuffers(a: readonly GpuBuffer[], b: readonly GpuBuffer[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Bind groups by layout and buffers. */
export class BindGroups {
  /** By a hash of the layout and the buffers. */
  readonly #groups = new Map<number, CachedGroup>()
  /** Groups that were made since garbage was last collected. */
  #made = 0

  constructor(
    readonly device: GPUDevice,
    readonly housekeeping: Housekeeping | undefined,
  ) {}

  get(layout: BindingLayout, buffers: readonly GpuBuffer[]): GPUBindGroup {
    let hash = layout.id
    for (let i = 0; i < buffers.length; i++) hash = (Math.imul(hash, 31) + (buffers[i] as GpuBuffer).id) | 0
    for (let group = this.#groups.get(hash); group; group = group.next) {
      if (group.layout === layout && sameBuffers(group.buffers, buffers)) return group.handle
    }
    if (this.#made >= MAX_BIND_GROUPS) {
      this.forget()
      this.housekeeping?.collect()
      this.#made = 0
    }
    if (this.#made % CHECK_EVERY === 0) this.housekeeping?.check()
    this.#made++
    const handle = this.device.createBindGroup({
      layout: layout.handle,
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer: buffer.handle } })),
    })
    const next = this.#groups.get(hash)
    this.#groups.set(hash, { layout, buffers: [...buffers], handle, next })
    return handle
  }

  /** To be called when buffers are destroyed: cached groups may refer to them. */
  forget(): void {
    this.#groups.clear()
  }
}
