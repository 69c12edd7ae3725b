import { Ld3mError } from '../../src/errors.ts'
import type { AdapterKind } from '../../src/node/index.ts'
import { waitAsleep } from '../../src/node/patience.ts'
import type { Arrays } from './arrays.ts'
import type { Work } from './works.ts'

/** A library that does the works. */
export interface Library {
  readonly name: string
  readonly version: string
  /**
   * Makes a work's inputs and whatever compiles ahead.
   * @throws if the library cannot do it
   */
  prepare(work: Work): Promise<Prepared>
  close(): Promise<void>
}

/** A work with its inputs in place. */
export interface Prepared {
  /** Does the work for the first time, which compiles, and reads the results back. */
  first(): Promise<Arrays>
  /** Milliseconds from the start of `count` executions, one after the other, to the end of the last. */
  time(count: number): Promise<number>
  dispose(): void
}

/** A work as a library on WebGPU does it; `R` holds the results of one execution, on the GPU. */
export interface Program<R> {
  /** Records or submits one execution. */
  run(): R
  /** Submits what is recorded. */
  flush(): void
  /** In this library's layouts. */
  read(results: R): Promise<Arrays>
  release(results: R): void
  /** Frees the inputs. */
  dispose(): void
}

/**
 * Runs programs of one library. All libraries are waited for in the same way, since it costs time: while a promise of
 * Dawn is pending, its polling takes a core from a software adapter.
 */
export class Runtime {
  readonly #errors: string[] = []

  constructor(
    readonly device: GPUDevice,
    readonly kind: AdapterKind,
  ) {
    device.addEventListener('uncapturederror', (event) => {
      this.#errors.push((event as GPUUncapturedErrorEvent).error.message)
    })
  }

  prepared<R>(program: Program<R>): Prepared {
    return {
      first: async () => {
        const results = program.run()
        program.flush()
        await this.#finish()
        try {
          return await program.read(results)
        } finally {
          program.release(results)
        }
      },
      time: async (count) => {
        const start = performance.now()
        for (let i = 1; i < count; i++) program.release(program.run())
        const last = program.run()
        program.flush()
        await this.#finish()
        const ms = performance.now() - start
        program.release(last)
        return ms
      },
      dispose: () => program.dispose(),
    }
  }

  /** Waits for everything submitted. */
  async #finish(): Promise<void> {
    const done = this.device.queue.onSubmittedWorkDone()
    await (this.kind === 'hardware' ? done : waitAsleep(done))
    const [error] = this.#errors.splice(0)
    if (error !== undefined) throw new Ld3mError('adapter', `WebGPU: ${error.trim()}`, 'See the message.')
  }
}
