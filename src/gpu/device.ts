import { formatValue, Ld3mError, optionError } from '../errors.ts'
import type { Housekeeping } from './bind-groups.ts'
import { DerivedBuffers } from './derived.ts'
import { MapModeRead } from './flags.ts'
import type { Variant } from './kernel.ts'
import { PipelineCache } from './pipelines.ts'
import { type MemoryPlan, Rehearsal } from './plan.ts'
import { BufferPool, GpuBuffer, type MemoryUse } from './pool.ts'
import { type Profile, profileOf } from './profile.ts'
import { Profiler, type Work } from './profiler.ts'
import { Recorder } from './recorder.ts'
import { StagingBuffers } from './staging.ts'
import { Tuner, type TunerOptions, tunerSettings } from './tuner.ts'
import { Workbench } from './workbench.ts'

export interface DeviceInfo {
  /** One line for people: what runs the kernels. */
  readonly description: string
  readonly vendor: string
  readonly architecture: string
  readonly features: ReadonlySet<string>
  /** Lanes of the narrowest subgroup, 0 where the adapter has no subgroups. */
  readonly subgroupSize: number
  /** Whether the adapter is a program that runs on the CPU, where workgroups and barriers are dear. */
  readonly software: boolean
  /** Whether params travel with the commands (immediates), or in a uniform buffer. */
  readonly immediates: boolean
}

export interface DeviceOptions {
  /** Replaces the adapter's own description. */
  description?: string
  /** Use a uniform buffer for params even where immediates exist (the portable path; tests use it). */
  forceUniforms?: boolean
  /** Use kernels without subgroups even where the adapter has them (the portable path; tests use it). */
  withoutSubgroups?: boolean
  /** Do without half precision even where the adapter has it (the portable path; tests use it). */
  withoutHalf?: boolean
  /** Choose kernels as for a GPU even on a software adapter (tests use it). */
  likeHardware?: boolean
  /** Run chains of elementwise ops as one kernel (tests compare with ops that run one by one). Default true. */
  fuse?: boolean
  /** Bytes of unused buffers to keep for reuse. Default 1 GiB. */
  keepBytes?: number
  /**
   * Bytes of derived buffers (`derive`: weights packed as a kernel wants them) to keep. The least recently used go first,
   * so that of more, used in turn, none is found again. Default 64 MiB, so that a large model's weights are not held twice.
   */
  derivedBytes?: number
  /**
   * Whether kernel variants are measured and the fastest taken (`device.tuner`): 'on' keeps results in the browser's
   * IndexedDB, elsewhere for the device's life; an object says where, and how much time measuring may take. Default 'off'.
   */
  tune?: 'off' | 'on' | TunerOptions
  /** Pins the default variants: nothing is measured, and what was stored or is imported is ignored. Default false. */
  deterministic?: boolean
  /** What to do while a promise of the adapter is pending. Default: just await it. */
  wait?: <T>(pending: Promise<T>) => Promise<T>
  /** What the host does about memory that the driver holds for objects of JavaScript. Default: nothing. */
  housekeeping?: Housekeeping
}

/** Features that kernels use where they exist. */
const WANTED: GPUFeatureName[] = ['timestamp-query', 'shader-f16', 'subgroups' as GPUFeatureName]

/** Limits raised to what the adapter has. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxStorageBuffersPerShaderStage',
  'maxImmediateSize',
] as const

/**
 * A GPU that kernels are dispatched to. Everything but reading back is synchronous and records; commands run in the
 * order in which they were recorded.
 */
export class Device {
  readonly #pool: BufferPool
  readonly #pipelines: PipelineCache
  readonly #recorder: Recorder
  readonly #staging: StagingBuffers
  readonly #derived: DerivedBuffers
  /** Workgroups a dimension. Kept, since to ask the device's limits is slow. */
  readonly #maxGrid: number
  readonly #wait: <T>(pending: Promise<T>) => Promise<T>
  /** Whether chains of elementwise ops run as one kernel. */
  readonly fuse: boolean
  /** Set while a memory plan is made: memory is counted, and commands are dropped. */
  #rehearsal: Rehearsal | undefined
  /** What the work of `allocating` holds so far. */
  #allocated: Set<GpuBuffer> | undefined
  /** Chooses kernel variants by what they take on this adapter. */
  readonly tuner: Tuner
  readonly #bench: Workbench
  #failure: Ld3mError | undefined
  #destroyed = false

  private constructor(
    /** The WebGPU device. */
    readonly handle: GPUDevice,
    readonly info: DeviceInfo,
    adapter: string,
    settings: ReturnType<typeof tunerSettings>,
    options: DeviceOptions,
  ) {
    const { fuse = true, keepBytes = 2 ** 30, derivedBytes = 64 << 20, wait = (pending) => pending } = options
    this.fuse = fuse
    this.#wait = wait
    this.#maxGrid = handle.limits.maxComputeWorkgroupsPerDimension
    this.#pool = new BufferPool(handle, keepBytes)
    this.#derived = new DerivedBuffers(derivedBytes, (buffer) => this.#giveBack(buffer))
    this.#pipelines = new PipelineCache(handle, info.immediates, options.housekeeping)
    this.#recorder = new Recorder(handle, this.#pipelines, (error) => this.#fail(error))
    this.#staging = new StagingBuffers(handle)
    this.#bench = new Workbench(this, this.#recorder, this.#pipelines, wait)
    this.tuner = new Tuner(this.#bench, adapter, settings.mode, settings.options)
    handle.addEventListener('uncapturederror', (event) => {
      this.#fail((event as GPUUncapturedErrorEvent).error)
    })
    void handle.lost.then(({ reason, message }) => {
      if (!this.#destroyed) this.#fail(new Error(`the device was lost (${reason}): ${message}`))
    })
  }

  /**
   * Opens a device on an adapter from `navigator.gpu` or from Dawn.
   * @param language the WGSL features of the `GPU` object that the adapter came from
   */
  static async open(
    adapter: GPUAdapter,
    language: { has(feature: string): boolean },
    options: DeviceOptions = {},
  ): Promise<Device> {
    const settings = tunerSettings(options.tune ?? 'off', options.deterministic ?? false)
    const requiredLimits: Record<string, number> = {}
    for (const limit of LIMITS) {
      const value = (adapter.limits as unknown as Record<string, number | undefined>)[limit]
      if (value !== undefined) requiredLimits[limit] = value
    }
    const requiredFeatures = WANTED.filter(
      (f) => adapter.features.has(f) && !(options.withoutHalf && f === 'shader-f16'),
    )
    const handle = await adapter.requestDevice({ requiredFeatures, requiredLimits })
    const info = adapter.info
    const subgroups = !options.withoutSubgroups && handle.features.has('subgroups' as GPUFeatureName)
    const immediates =
      !options.forceUniforms &&
      language.has('immediate_address_space') &&
      ((handle.limits as unknown as { maxImmediateSize?: number }).maxImmediateSize ?? 0) >= 64
    const lanes = subgroups ? ((info as { subgroupMinSize?: number }).subgroupMinSize ?? 0) : 0
    const software = !options.likeHardware && (info.isFallbackAdapter ?? false)
    const device = new Device(
      handle,
      {
        description: options.description ?? (info.description || `${info.vendor} ${info.architecture}`.trim()),
        vendor: info.vendor,
        architecture: info.architecture,
        features: new Set(handle.features),
        subgroupSize: lanes,
        software,
        immediates,
      },
      [
        info.vendor,
        info.architecture,
        info.device,
        info.description,
        `${lanes} lanes`,
        software ? 'software' : 'hardware',
      ]
        .filter((text) => text !== '')
        .join(', '),
      settings,
      options,
    )
    await device.tuner.load()
    return device
  }

  /** GPU memory in use by this library on this device, derived buffers (`derive`) included. */
  get memory(): MemoryUse {
    return (this.#rehearsal ?? this.#pool).memory
  }

  /** Whether a plan of memory is being made (`planMemory`): nothing is computed, and nothing may be learned. */
  get rehearsing(): boolean {
    return this.#rehearsal !== undefined
  }

  /** Whether it can still run anything: false after an error of the GPU, and once it is destroyed. */
  get usable(): boolean {
    return !this.#destroyed && !this.#failure
  }

  /** Starts a new measurement of the peak. */
  resetPeak(): void {
    ;(this.#rehearsal ?? this.#pool).resetPeak()
  }

  /** A buffer of at least `bytes`; its contents are undefined. */
  alloc(bytes: number): GpuBuffer {
    this.#check()
    const buffer = this.#rehearsal ? this.#rehearsal.alloc(this.#pool.capacityFor(bytes)) : this.#pool.alloc(bytes)
    this.#allocated?.add(buffer)
    return buffer
  }

  /**
   * Runs `work`, which allocates a result and passing buffers: if it throws, those that it still holds are given back.
   * What is allocated in an inner call belongs to that one.
   */
  allocating<T>(work: () => T): T {
    const outer = this.#allocated
    const own = new Set<GpuBuffer>()
    this.#allocated = own
    try {
      return work()
    } catch (error) {
      for (const buffer of own) this.release(buffer)
      throw error
    } finally {
      this.#allocated = outer
    }
  }

  /** Gives a buffer back; commands already recorded may still use it. */
  release(buffer: GpuBuffer): void {
    this.#allocated?.delete(buffer)
    if (buffer.derived) {
      this.#rehearsal?.derived.forget(buffer)
      this.#derived.forget(buffer)
      buffer.derived = false
    }
    this.#rehearsal?.release(buffer)
    if (!buffer.planned) this.#giveBack(buffer)
  }

  #giveBack(buffer: GpuBuffer): void {
    if (this.#pool.release(buffer)) {
      this.#recorder.destroyLater(buffer)
      this.#pipelines.forgetBindGroups()
    }
  }

  /**
   * A buffer computed from another one's contents, by `make` where there is none for the present contents yet. It
   * belongs to the device and lives at least until the next call.
   */
  derive(source: GpuBuffer, key: string, make: () => GpuBuffer): GpuBuffer {
    return (this.#rehearsal?.derived ?? this.#derived).get(source, key, () => this.allocating(make))
  }

  /** Records an upload to `offset`, a multiple of 4 bytes. The data is copied, padded to whole words. */
  upload(buffer: GpuBuffer, data: ArrayBufferView, offset = 0): void {
    this.#check()
    if (this.#rehearsal) {
      this.#rehearsal.write(buffer, 'upload')
      return
    }
    buffer.willBeWritten()
    this.#recorder.write(buffer.handle, offset, data)
  }

  /** Records zeroing the first `bytes` of a buffer. */
  clear(buffer: GpuBuffer, bytes: number): void {
    this.#check()
    if (this.#rehearsal) {
      this.#rehearsal.write(buffer, 'clear')
      return
    }
    buffer.willBeWritten()
    this.#recorder.clear(buffer.handle, Math.ceil(bytes / 4) * 4)
  }

  /** Records a copy of `bytes` (offsets and size are multiples of 4). */
  copy(src: GpuBuffer, srcOffset: number, dst: GpuBuffer, dstOffset: number, bytes: number): void {
    this.#check()
    if (bytes === 0) return
    if (this.#rehearsal) {
      this.#rehearsal.write(dst, 'copy')
      return
    }
    dst.willBeWritten()
    this.#recorder.copy(src.handle, srcOffset, dst.handle, dstOffset, bytes)
  }

  /**
   * Records a kernel launch.
   * @param buffers the kernel's storage bindings in order; an output must not also be an input
   * @param params the fields of the kernel's params struct, by name
   * @param grid workgroups in x, y and z
   */
  dispatch(
    variant: Variant,
    buffers: readonly GpuBuffer[],
    params: Readonly<Record<string, number>>,
    grid: readonly [number, number, number],
    work?: Work,
  ): void {
    this.#check()
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return
    const limit = this.#maxGrid
    if (grid[0] > limit || grid[1] > limit || grid[2] > limit) {
      throw new Ld3mError(
        'memory',
        `Kernel ${variant.kernel.name} needs a grid of ${grid.join('×')} workgroups; the adapter allows ${limit} a dimension.`,
        'Use a smaller batch, or split the work into chunks.',
      )
    }
    if (this.#bench.intercept(variant)) return
    checkBuffers(variant, buffers)
    const { bindings } = variant.interface
    if (this.#rehearsal) {
      for (const [i, access] of bindings.entries()) {
        if (access === 'read_write') this.#rehearsal.write(buffers[i] as GpuBuffer, variant.kernel.name)
      }
      return
    }
    for (let i = 0; i < bindings.length; i++) {
      if (bindings[i] === 'read_write') (buffers[i] as GpuBuffer).willBeWritten()
    }
    this.#recorder.dispatch(variant, buffers, params, grid, work)
  }

  /**
   * Compiles a kernel before its first launch: for its author, since one that turns out not to compile after a launch was
   * recorded ends the device, whose later commands would read what was never written.
   * @throws Ld3mError `option` if its text cannot be read; `adapter` if it does not compile, with the compiler's words
   */
  async compile(variant: Variant): Promise<void> {
    this.#check()
    await this.#wait(this.#pipelines.get(variant).ready)
  }

  /** The first `bytes` of a buffer, after everything recorded so far has run. */
  async read(buffer: GpuBuffer, bytes: number): Promise<ArrayBuffer> {
    const data = await this.#read(buffer, bytes)
    await this.tuner.advance()
    return data
  }

  async #read(buffer: GpuBuffer, bytes: number): Promise<ArrayBuffer> {
    this.#check()
    if (this.#rehearsal) return this.#refuse('reads a tensor back')
    const size = Math.ceil(bytes / 4) * 4
    const source = buffer.handle
    const staging = this.#staging.take(size)
    try {
      this.#recorder.copy(source, 0, staging, 0, size)
      await this.#wait(this.#recorder.flush())
      this.#check()
      await this.#wait(staging.mapAsync(MapModeRead, 0, size))
      this.#check()
      const data = staging.getMappedRange(0, size).slice(0, bytes)
      this.#staging.giveBack(staging)
      return data
    } catch (error) {
      staging.destroy()
      throw this.#failure ?? error
    }
  }

  /** Submits what is recorded, without waiting for it to run. */
  flush(): void {
    if (!this.#rehearsal) void this.#recorder.flush()
  }

  /** Waits until everything recorded so far has run. */
  async synchronize(): Promise<void> {
    if (this.#rehearsal) return this.#refuse('waits for the device')
    await this.#wait(this.#recorder.flush())
    await this.#wait(this.handle.queue.onSubmittedWorkDone())
    this.#check()
    await this.tuner.advance()
  }

  /**
   * Times every kernel that `run` dispatches, by timestamp queries: a row for each kernel variant, the rows as a table,
   * and a trace for chrome://tracing or Perfetto. Slower than running without, since each dispatch gets a pass of its own.
   * @throws Ld3mError `adapter` if the adapter has no timestamp queries
   */
  async profile<T>(run: () => T | Promise<T>): Promise<Profile<T>> {
    if (this.#rehearsal) return this.#refuse('takes a profile')
    if (!this.info.features.has('timestamp-query')) {
      throw new Ld3mError('adapter', 'This adapter has no timestamp queries.', 'Profile on another adapter.')
    }
    await this.synchronize()
    const profiler = new Profiler(this.handle)
    this.#recorder.profiler = profiler
    try {
      const result = await run()
      await this.#wait(this.#recorder.flush())
      return profileOf(result, await this.#wait(profiler.batches()), this.info.description)
    } finally {
      this.#recorder.profiler = undefined
    }
  }

  /**
   * Runs `work`, which is synchronous, without the GPU: buffers are counted and not created, commands are dropped, no
   * kernel is compiled. Afterwards the device is as it was. `planMemory` is the face of it, and frees what `work` made.
   */
  rehearse(work: (rehearsal: { plan(): MemoryPlan }) => void): void {
    this.#check()
    if (this.#rehearsal) throw new Ld3mError('graph', 'planMemory was called within a plan.', 'Plans do not nest.')
    const rehearsal = new Rehearsal(this.#pool.memory, this.#derived)
    this.#rehearsal = rehearsal
    try {
      work(rehearsal)
    } finally {
      rehearsal.end()
      this.#rehearsal = undefined
    }
    if (rehearsal.failure) throw rehearsal.failure
  }

  /** Destroys the unused buffers that are kept for reuse, those for reading back too, and the derived ones. */
  trim(): void {
    if (this.#rehearsal) {
      this.#rehearsal.derived.clear()
      return
    }
    this.#derived.clear()
    this.#staging.clear()
    for (const buffer of this.#pool.drain()) this.#recorder.destroyLater(buffer)
    this.#pipelines.forgetBindGroups()
    this.flush()
  }

  /** Ends the device: later calls that allocate, record or read back fail. Tensors may still be disposed. */
  destroy(): void {
    this.#destroyed = true
    this.#staging.clear()
    this.handle.destroy()
  }

  /** A promise that stays pending: the error is thrown where the plan was asked for. */
  #refuse(what: string): Promise<never> {
    this.#rehearsal?.refuse(what)
    return new Promise(() => undefined)
  }

  #fail(cause: unknown): void {
    if (cause instanceof Ld3mError) this.#failure ??= cause
    else {
      const message = (cause as { message?: string }).message ?? String(cause)
      this.#failure ??= new Ld3mError(
        /memory/i.test(message) ? 'memory' : 'adapter',
        `The GPU reported an error: ${message}.`,
        'If it is about memory, use a smaller batch or resolution; otherwise report it with the adapter that was printed.',
        { cause },
      )
    }
  }

  #check(): void {
    if (this.#destroyed) throw new Ld3mError('adapter', 'This device was destroyed.', 'Open a new one.')
    if (this.#failure) throw this.#failure
  }
}

/** Throws unless there is a buffer for each binding of the kernel. */
function checkBuffers({ kernel: { name }, interface: { bindings } }: Variant, buffers: readonly unknown[]): void {
  if (buffers.length !== bindings.length) {
    const what = `Kernel ${name} has ${bindings.length} bindings; ${buffers.length} buffers came.`
    throw optionError(what, 'Pass one a binding, in their order.')
  }
  for (let i = 0; i < buffers.length; i++) {
    if (buffers[i] instanceof GpuBuffer) continue
    const what = `Kernel ${name}: for binding ${i} came ${formatValue(buffers[i])}, not a buffer.`
    throw optionError(what, "Pass a tensor's buffer, or what device.alloc gives.")
  }
}

/** Workgroups a dimension that every adapter allows. */
export const MOST_GROUPS = 65_535

/** Workgroups for `count` invocations of one-dimensional work, folded into y beyond 32,768 in x. */
export function linearGrid(count: number, workgroupSize: number): [number, number, number] {
  const groups = Math.ceil(count / workgroupSize)
  if (groups <= 32_768) return [groups, 1, 1]
  return [32_768, Math.ceil(groups / 32_768), 1]
}

/**
 * Workgroups in x and y for `width`×`height` of them, and whether they had to be folded, since no adapter needs to allow
 * more than 65,535 a dimension: `folded` in WGSL then tells where in the work a workgroup is.
 */
export function foldedGrid(width: number, height: number): { grid: [number, number]; folded: boolean } {
  if (width <= MOST_GROUPS && height <= MOST_GROUPS) return { grid: [width, height], folded: false }
  const [x, y] = linearGrid(width * height, 1)
  return { grid: [x, y], folded: true }
}

/**
 * Workgroups for one-dimensional work of any size by kernels that loop over spans (`linear_span` in WGSL): as many as
 * fill the adapter. On software adapters a workgroup is dear (about a microsecond each on lavapipe): 16 of them add 20
 * thousand numbers in 90 µs, 256 in 320 µs.
 */
export function loopGrid(device: Device, count: number, workgroupSize: number): [number, number, number] {
  return [Math.min(Math.ceil(count / workgroupSize), device.info.software ? 16 : 8192), 1, 1]
}
