import type { Device } from './device.ts'
import type { Variant } from './kernel.ts'
import type { PipelineCache } from './pipelines.ts'
import type { GpuBuffer } from './pool.ts'
import { type BatchRun, Profiler } from './profiler.ts'
import type { Recorder } from './recorder.ts'

/** Where the tuner compiles and times launches, beside the work that the device's user records. */
export class Workbench {
  /** While a launch is only looked at: what it dispatches. */
  #listening: Variant[] | undefined
  /** Timestamps are taken until they turn out to be rounded. */
  #timestamps: boolean

  constructor(
    readonly device: Device,
    readonly recorder: Recorder,
    readonly pipelines: PipelineCache,
    readonly wait: <T>(pending: Promise<T>) => Promise<T>,
  ) {
    this.#timestamps = device.info.features.has('timestamp-query')
  }

  /** Takes note of a dispatch that is not to be recorded; false for all others. */
  intercept(variant: Variant): boolean {
    this.#listening?.push(variant)
    return this.#listening !== undefined
  }

  /** A buffer of zeros. */
  zeros(bytes: number): GpuBuffer {
    const buffer = this.device.alloc(Math.max(4, bytes))
    this.device.clear(buffer, bytes)
    return buffer
  }

  release(buffer: GpuBuffer): void {
    this.device.release(buffer)
  }

  /** Compiles what `launch` would dispatch, which is not recorded; false if the adapter refuses any of it. */
  async compile(launch: () => void): Promise<boolean> {
    const variants: Variant[] = []
    this.#listening = variants
    try {
      launch()
    } finally {
      this.#listening = undefined
    }
    const ready = Promise.all(variants.map((variant) => this.pipelines.get(variant).ready))
    return await this.wait(ready).then(
      () => true,
      () => false,
    )
  }

  /**
   * Milliseconds that the GPU takes for what `run` records, whose pipelines must be compiled. Undefined if the device
   * was used by others meanwhile.
   */
  async time(run: () => void): Promise<number | undefined> {
    const { recorder, wait } = this
    const { queue } = this.device.handle
    await wait(recorder.flush())
    await wait(queue.onSubmittedWorkDone())
    if (!recorder.idle || recorder.profiler) return undefined
    const profiler = this.#timestamps ? new Profiler(this.device.handle) : undefined
    const start = performance.now()
    recorder.profiler = profiler
    try {
      run()
      // Submits at once, since nothing is pending: no one else's commands are timed.
      void recorder.flush()
    } finally {
      recorder.profiler = undefined
    }
    const { submissions } = recorder
    await wait(queue.onSubmittedWorkDone())
    const wall = performance.now() - start
    const timed = profiler && millisecondsOf(await wait(profiler.batches()))
    if (recorder.submissions !== submissions) return undefined
    if (timed === undefined) return wall
    if (!isRounded(timed)) return timed
    this.#timestamps = false
    return wall
  }
}

/** Browsers round timestamps to 100 µs, Dawn by itself to 2¹⁶ ns; and some adapters only give zeros. */
function isRounded(ms: number): boolean {
  const ns = Math.round(ms * 1e6)
  return ns % 100_000 === 0 || ns % 65_536 === 0
}

/** What all kernels took together. */
const millisecondsOf = (batches: readonly BatchRun[]): number =>
  batches.flatMap(({ kernels }) => kernels).reduce((sum, { duration }) => sum + duration / 1e6, 0)
