import { Ld3mError } from '../errors.ts'
import { BindGroups, type BindingLayout, type Housekeeping } from './bind-groups.ts'
import { ShaderStageCompute } from './flags.ts'
import type { Variant } from './kernel.ts'
import type { GpuBuffer } from './pool.ts'
import type { Access } from './wgsl.ts'

export interface Pipeline {
  /** Undefined until compiled. */
  handle: GPUComputePipeline | undefined
  readonly ready: Promise<void>
  /** Set once it turned out not to compile. */
  failure: Ld3mError | undefined
  readonly group: BindingLayout
  /** Size of the params struct in bytes, 0 if there is none. */
  readonly paramBytes: number
}

/** Compiles pipelines without blocking, and keeps them and their bind groups. */
export class PipelineCache {
  readonly #pipelines = new Map<number, Pipeline>()
  readonly #layouts = new Map<string, BindingLayout>()
  readonly #bindGroups: BindGroups
  #uniformLayout: GPUBindGroupLayout | undefined

  constructor(
    readonly device: GPUDevice,
    /** Whether params travel as immediates (`setImmediates`) or in a uniform buffer. */
    readonly immediates: boolean,
    housekeeping: Housekeeping | undefined,
  ) {
    this.#bindGroups = new BindGroups(device, housekeeping)
  }

  get(variant: Variant): Pipeline {
    let pipeline = this.#pipelines.get(variant.id)
    if (!pipeline) {
      pipeline = this.#compile(variant)
      this.#pipelines.set(variant.id, pipeline)
    }
    return pipeline
  }

  bindGroup(pipeline: Pipeline, buffers: readonly GpuBuffer[]): GPUBindGroup {
    return this.#bindGroups.get(pipeline.group, buffers)
  }

  /** To be called when buffers are destroyed: cached groups may refer to them. */
  forgetBindGroups(): void {
    this.#bindGroups.forget()
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
      failure: undefined,
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
            pipeline.failure = compileError(variant, code, messages, cause)
            throw pipeline.failure
          },
        ),
    }
    // A failure surfaces where the batch that needs the pipeline is submitted.
    pipeline.ready.catch(() => undefined)
    return pipeline
  }
}

/** Says the compiler's words and the lines that they are about: their numbers are those of the expanded text. */
function compileError(
  { label }: Variant,
  code: string,
  messages: readonly GPUCompilationMessage[],
  cause: unknown,
): Ld3mError {
  const lines = code.split('\n')
  const errors = messages
    .filter(({ type }) => type === 'error')
    .map(({ lineNum, message }) => `${message}, in '${lines[lineNum - 1]?.trim() ?? ''}'`)
  return new Ld3mError(
    'adapter',
    `Kernel ${label} does not compile on this adapter: ${errors.join('; ') || String(cause)}.`,
    'If the kernel is your own, correct it; else report it with the adapter that was printed at the start.',
    { cause },
  )
}
