import { Ld3mError } from '../errors.ts'
import { ShaderStageCompute } from './flags.ts'
import type { Variant } from './kernel.ts'
import type { GpuBuffer } from './pool.ts'
import type { Access } from './wgsl.ts'

export interface Pipeline {
  /** Undefined until compiled. */
  handle: GPUComputePipeline | undefined
  readonly ready: Promise<void>
  readonly group: BindingLayout
  /** Size of the params struct in bytes, 0 if there is none. */
  readonly paramBytes: number
}

interface CachedGroup {
  readonly layout: BindingLayout
  readonly buffers: readonly GpuBuffer[]
  readonly handle: GPUBindGroup
  /** Another group of the same hash. */
  readonly next: CachedGroup | undefined
}

interface BindingLayout {
  readonly id: number
  readonly handle: GPUBindGroupLayout
}

/** Bind groups kept before the cache is emptied: loops with stable shapes need far fewer. */
const MAX_BIND_GROUPS = 20_000

/** For arrays of one layout, which are equally long. */
function sameBuffers(a: readonly GpuBuffer[], b: readonly GpuBuffer[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Compiles pipelines without blocking, and keeps them and their bind groups. */
export class PipelineCache {
  readonly #pipelines = new Map<number, Pipeline>()
  readonly #layouts = new Map<string, BindingLayout>()
  /** By a hash of the layout and the buffers. */
  readonly #bindGroups = new Map<number, CachedGroup>()
  #uniformLayout: GPUBindGroupLayout | undefined

  constructor(
    readonly device: GPUDevice,
    /** Whether params travel as immediates (`setImmediates`) or in a uniform buffer. */
    readonly immediates: boolean,
  ) {}

  get(variant: Variant): Pipeline {
    let pipeline = this.#pipelines.get(variant.id)
    if (!pipeline) {
      pipeline = this.#compile(variant)
      this.#pipelines.set(variant.id, pipeline)
    }
    return pipeline
  }

  bindGroup(pipeline: Pipeline, buffers: readonly GpuBuffer[]): GPUBindGroup {
    const layout = pipeline.group
    let hash = layout.id
    for (let i = 0; i < buffers.length; i++) hash = (Math.imul(hash, 31) + (buffers[i] as GpuBuffer).id) | 0
    const first = this.#bindGroups.get(hash)
    for (let group = first; group; group = group.next) {
      if (group.layout === layout && sameBuffers(group.buffers, buffers)) return group.handle
    }
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear()
    const handle = this.device.createBindGroup({
      layout: layout.handle,
      entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer: buffer.handle } })),
    })
    const next = this.#bindGroups.get(hash)
    this.#bindGroups.set(hash, { layout, buffers: [...buffers], handle, next })
    return handle
  }

  /** To be called when buffers are destroyed: cached groups may refer to them. */
  forgetBindGroups(): void {
    this.#bindGroups.clear()
  }

  uniformBindGroup(buffer: GPUBuffer): GPUBindGroup {
    return this.device.createBindGroup({
      layout: this.#uniform(),
      entries: [{ binding: 0, resource: { buffer, size: 64 } }],
    })
  }

  #uniform(): GPUBindGroupLayout {
    this.#uniformLayout ??= this.device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: ShaderStageCompute, buffer: { type: 'uniform', hasDynamicOffset: true } }],
    })
    return this.#uniformLayout
  }

  #layout(bindings: readonly Access[]): BindingLayout {
    const key = bindings.join()
    let layout = this.#layouts.get(key)
    if (!layout) {
      const handle = this.device.createBindGroupLayout({
        entries: bindings.map((access, binding) => ({
          binding,
          visibility: ShaderStageCompute,
          buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
        })),
      })
      layout = { id: this.#layouts.size, handle }
      this.#layouts.set(key, layout)
    }
    return layout
  }

  #compile(variant: Variant): Pipeline {
    const { device } = this
    const { bindings, params } = variant.interface
    const group = this.#layout(bindings)
    const paramBytes = params.length * 4
    const useImmediates = this.immediates && paramBytes > 0
    const descriptor = {
      bindGroupLayouts: [group.handle, ...(paramBytes > 0 && !useImmediates ? [this.#uniform()] : [])],
      ...(useImmediates ? { immediateSize: paramBytes } : {}),
    }
    const code = variant.code(this.immediates)
    // Reported below, with the kernel's name, when the pipeline is made; not as an error of the device.
    device.pushErrorScope('validation')
    const module = device.createShaderModule({ label: variant.label, code })
    device.popErrorScope().catch(() => undefined)
    const pipeline: Pipeline = {
      handle: undefined,
      group,
      paramBytes,
      ready: device
        .createComputePipelineAsync({
          label: variant.label,
          layout: device.createPipelineLayout(descriptor),
          compute: { module, entryPoint: 'main' },
        })
        .then(
          (handle) => {
            pipeline.handle = handle
          },
          async (cause) => {
            const { messages } = await module.getCompilationInfo()
            const text = messages.map((m) => `${m.lineNum}:${m.linePos} ${m.message}`).join('\n')
            throw new Ld3mError(
              'adapter',
              `Kernel ${variant.label} does not compile on this adapter: ${text || String(cause)}.`,
              'Report it with the adapter that was printed at the start.',
              { cause },
            )
          },
        ),
    }
    // A failure surfaces where the batch that needs the pipeline is submitted.
    pipeline.ready.catch(() => undefined)
    return pipeline
  }
}
