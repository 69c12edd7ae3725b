import { optionError } from '../errors.ts'
import { BufferUsage } from './flags.ts'
import type { Variant } from './kernel.ts'
import type { Pipeline, PipelineCache } from './pipelines.ts'
import type { GpuBuffer } from './pool.ts'
import type { Profiler, Work } from './profiler.ts'
import { UploadArena, UploadBuffer } from './upload-arena.ts'

/** Commands in the order they must run. */
type Command =
  | {
      type: 'dispatch'
      variant: Variant
      pipeline: Pipeline
      bindGroup: GPUBindGroup
      /** Byte offset of the params in the batch. */
      params: number
      grid: readonly [number, number, number]
      work: Work | undefined
    }
  | { type: 'copy'; src: GPUBuffer; srcOffset: number; dst: GPUBuffer; dstOffset: number; bytes: number }
  | { type: 'clear'; buffer: GPUBuffer; bytes: number }
  | { type: 'write'; buffer: GPUBuffer; offset: number; data: Uint8Array<ArrayBuffer> }
  /** A small upload, that lies at `from` in the batch's arena. */
  | { type: 'writeSmall'; buffer: GPUBuffer; offset: number; from: number; bytes: number }

const PARAM_BYTES = 64
/** Uniform offsets are multiples of 256 on every adapter. */
const UNIFORM_STRIDE = 256
/** A batch is submitted when it holds this many commands, so that the GPU starts while more is recorded. */
const BATCH_COMMANDS = 256
/** … or this many bytes of large uploads. */
const BATCH_UPLOAD_BYTES = 32 << 20
/**
 * Uploads up to this size are gathered, so that the batch need not be parted for them: at most 4 MiB a batch. On lavapipe
 * 100 uploads of 16 bytes with an op each take 2.9 ms so and 3.9 ms parted, of 16 KiB 2.8 and 4.3, of 64 KiB 6.4 and 5.7.
 */
const SMALL_UPLOAD_BYTES = 16 << 10

class Batch {
  commands: Command[] = []
  readonly params = new ArrayBuffer(BATCH_COMMANDS * PARAM_BYTES)
  readonly view = new DataView(this.params)
  /** When its first command was recorded, by `performance.now`; kept while a profile is taken. */
  recordStart = 0
  /** Of large uploads. */
  uploadBytes = 0
  readonly arena = new UploadArena()
  pipelinesPending: Promise<unknown>[] = []
  destroy: GpuBuffer[] = []

  /** Makes it ready for new commands. */
  reset(): void {
    this.commands = []
    this.uploadBytes = 0
    this.arena.clear()
    this.pipelinesPending = []
    this.destroy = []
  }
}

/**
 * Keeps commands in order and submits them in batches. Recording never waits: a batch whose pipelines still compile
 * is encoded when they are ready, and later batches queue behind it.
 */
export class Recorder {
  #batch = new Batch()
  /** Set while an earlier batch waits for its pipelines. */
  #tail: Promise<void> | undefined
  readonly #uploads: UploadBuffer
  #uniforms: GPUBuffer | undefined
  #uniformGroup: GPUBindGroup | undefined
  /** Batches submitted so far. */
  submissions = 0
  /** Set while a profile is taken. */
  profiler: Profiler | undefined

  constructor(
    readonly device: GPUDevice,
    readonly pipelines: PipelineCache,
    readonly onError: (error: unknown) => void,
  ) {
    this.#uploads = new UploadBuffer(device)
  }

  dispatch(
    variant: Variant,
    buffers: readonly GpuBuffer[],
    params: Readonly<Record<string, number>>,
    grid: readonly [number, number, number],
    work: Work | undefined,
  ): void {
    const pipeline = this.pipelines.get(variant)
    if (pipeline.failure) throw pipeline.failure
    const batch = this.#batch
    if (!pipeline.handle) batch.pipelinesPending.push(pipeline.ready)
    const offset = batch.commands.length * PARAM_BYTES
    const { view } = batch
    const fields = variant.interface.params
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i] as (typeof fields)[number]
      const value = params[field.name]
      if (value === undefined) throw missingParam(variant, field.name)
      if (field.type === 'f32') view.setFloat32(offset + 4 * i, value, true)
      else if (field.type === 'u32') view.setUint32(offset + 4 * i, value, true)
      else view.setInt32(offset + 4 * i, value, true)
    }
    const bindGroup = this.pipelines.bindGroup(pipeline, buffers)
    this.#push({ type: 'dispatch', variant, pipeline, bindGroup, params: offset, grid, work })
  }

  copy(src: GPUBuffer, srcOffset: number, dst: GPUBuffer, dstOffset: number, bytes: number): void {
    this.#push({ type: 'copy', src, srcOffset, dst, dstOffset, bytes })
  }

  clear(buffer: GPUBuffer, bytes: number): void {
    this.#push({ type: 'clear', buffer, bytes })
  }

  /** `data` is copied, padded with zeros to a multiple of 4 bytes. */
  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView): void {
    const bytes = Math.ceil(data.byteLength / 4) * 4
    if (bytes === 0) return
    if (bytes <= SMALL_UPLOAD_BYTES) {
      this.#push({ type: 'writeSmall', buffer, offset, from: this.#batch.arena.add(data, bytes), bytes })
      return
    }
    const copy = new Uint8Array(bytes)
    copy.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    this.#batch.uploadBytes += bytes
    this.#push({ type: 'write', buffer, offset, data: copy })
  }

  /** Destroys a buffer once everything recorded so far is submitted. */
  destroyLater(buffer: GpuBuffer): void {
    this.#batch.destroy.push(buffer)
  }

  /** Whether everything recorded so far is submitted. */
  get idle(): boolean {
    return this.#batch.commands.length === 0 && !this.#tail
  }

  /** Submits what is recorded; resolves when it has been handed to the queue (not: when it has run). */
  flush(): Promise<void> {
    const batch = this.#batch
    if (batch.commands.length === 0 && batch.destroy.length === 0) return this.#tail ?? Promise.resolve()
    if (!this.#tail && batch.pipelinesPending.length === 0) {
      try {
        this.#submit(batch)
      } finally {
        batch.reset()
      }
      return Promise.resolve()
    }
    this.#batch = new Batch()
    const tail = this.#submitWhenReady(batch, this.#tail).then(() => {
      if (this.#tail === tail) this.#tail = undefined
    })
    this.#tail = tail
    return tail
  }

  async #submitWhenReady(batch: Batch, before: Promise<void> | undefined): Promise<void> {
    await before
    try {
      await Promise.all(batch.pipelinesPending)
      this.#submit(batch)
    } catch (error) {
      this.onError(error)
    }
  }

  #push(command: Command): void {
    const { commands, uploadBytes } = this.#batch
    if (this.profiler && commands.length === 0) this.#batch.recordStart = performance.now()
    commands.push(command)
    if (commands.length >= BATCH_COMMANDS || uploadBytes >= BATCH_UPLOAD_BYTES) void this.flush()
  }

  #submit(batch: Batch): void {
    const { device } = this
    const submitStart = this.profiler ? performance.now() : 0
    this.submissions++
    if (!this.pipelines.immediates) this.#writeUniforms(batch)
    const dispatches = batch.commands.filter((c) => c.type === 'dispatch')
    const queries = this.profiler && dispatches.length > 0 ? this.profiler.begin(dispatches.length) : undefined
    let query = 0
    const { contents } = batch.arena
    const uploads = contents.length > 0 ? this.#uploads.fill(contents) : undefined
    let encoder = device.createCommandEncoder()
    let pass: GPUComputePassEncoder | undefined
    let current: GPUComputePipeline | undefined
    const endPass = () => {
      pass?.end()
      pass = undefined
      current = undefined
    }
    for (const command of batch.commands) {
      switch (command.type) {
        case 'dispatch': {
          if (queries) {
            endPass()
            pass = encoder.beginComputePass({
              timestampWrites: {
                querySet: queries,
                beginningOfPassWriteIndex: query,
                endOfPassWriteIndex: query + 1,
              },
            })
            query += 2
          }
          pass ??= encoder.beginComputePass()
          const handle = command.pipeline.handle as GPUComputePipeline
          if (current !== handle) pass.setPipeline((current = handle))
          pass.setBindGroup(0, command.bindGroup)
          const size = command.pipeline.paramBytes
          if (size > 0) {
            if (this.pipelines.immediates) {
              ;(pass as ImmediatesEncoder).setImmediates(0, batch.params, command.params, size)
            } else {
              const offset = (command.params / PARAM_BYTES) * UNIFORM_STRIDE
              pass.setBindGroup(1, this.#uniformGroup as GPUBindGroup, [offset])
            }
          }
          pass.dispatchWorkgroups(command.grid[0], command.grid[1], command.grid[2])
          break
        }
        case 'copy':
          endPass()
          encoder.copyBufferToBuffer(command.src, command.srcOffset, command.dst, command.dstOffset, command.bytes)
          break
        case 'clear':
          endPass()
          encoder.clearBuffer(command.buffer, 0, command.bytes)
          break
        case 'writeSmall':
          endPass()
          encoder.copyBufferToBuffer(uploads as GPUBuffer, command.from, command.buffer, command.offset, command.bytes)
          break
        case 'write':
          // The queue writes at once, so what comes before must be on it.
          endPass()
          device.queue.submit([encoder.finish()])
          encoder = device.createCommandEncoder()
          device.queue.writeBuffer(command.buffer, command.offset, command.data)
          break
      }
    }
    endPass()
    const pending = queries && (this.profiler as Profiler).finish(encoder, queries, dispatches.length)
    device.queue.submit([encoder.finish()])
    if (pending) {
      const { recordStart, commands } = batch
      const submitEnd = performance.now()
      this.profiler?.collect(pending, { recordStart, submitStart, submitEnd, commands: commands.length, dispatches })
    }
    for (const buffer of batch.destroy) buffer.handle.destroy()
  }

  /** Without immediates: one uniform slot a command, rewritten for every batch (the queue keeps the order). */
  #writeUniforms(batch: Batch): void {
    if (!this.#uniforms) {
      this.#uniforms = this.device.createBuffer({
        size: BATCH_COMMANDS * UNIFORM_STRIDE,
        usage: BufferUsage.Uniform | BufferUsage.CopyDst,
      })
      this.#uniformGroup = this.pipelines.uniformBindGroup(this.#uniforms)
    }
    const bytes = new Uint8Array(batch.commands.length * UNIFORM_STRIDE)
    const params = new Uint8Array(batch.params)
    for (let i = 0; i < batch.commands.length; i++) {
      bytes.set(params.subarray(i * PARAM_BYTES, (i + 1) * PARAM_BYTES), i * UNIFORM_STRIDE)
    }
    this.device.queue.writeBuffer(this.#uniforms, 0, bytes)
  }
}

const missingParam = ({ kernel }: Variant, name: string) =>
  optionError(
    `Kernel ${kernel.name}: param '${name}' is missing.`,
    'Pass a number for each field of its #params struct.',
  )

/** Not yet in the published types. */
interface ImmediatesEncoder {
  setImmediates(rangeOffset: number, data: ArrayBuffer, dataOffset: number, size: number): void
}
