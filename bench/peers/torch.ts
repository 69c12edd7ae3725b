/** PyTorch on the CPU as a library to compare with: a Python process that does the works; see torch_works.py. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Ld3mError } from '../../src/errors.ts'
import type { HostArray } from './arrays.ts'
import type { Library, Prepared } from './library.ts'

/** Debian's, whose PyTorch is the package python3-torch. */
const PYTHON = '/usr/bin/python3'

/**
 * Starts Python with as many threads as there are cores, or OMP_NUM_THREADS.
 * @throws Ld3mError `adapter` if PyTorch does not start
 */
export async function openTorch(): Promise<Library> {
  const python = new Python()
  const { version, threads } = await python.answer<{ version: string; threads: number }>()
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-torch-'))
  const file = (name: string) => join(folder, name)

  return {
    name: 'pytorch',
    version: `${version}, ${threads} threads`,
    async prepare({ task, inputs }): Promise<Prepared> {
      const arrays = Object.entries(inputs())
      await Promise.all(arrays.map(([name, { data }]) => writeFile(file(`${name}.in`), data)))
      const shapes = Object.fromEntries(arrays.map(([name, { shape }]) => [name, shape]))
      await python.ask({ do: 'prepare', folder, task, shapes })
      return {
        async first() {
          const { shapes } = await python.ask<{ shapes: Record<string, number[]> }>({ do: 'first' })
          const results = Object.entries(shapes).map(async ([name, shape]): Promise<[string, HostArray]> => {
            const bytes = await readFile(file(`${name}.out`))
            // A copy, since the bytes of a file need not begin at a multiple of four.
            return [name, { shape, data: new Float32Array(Uint8Array.from(bytes).buffer) }]
          })
          return Object.fromEntries(await Promise.all(results))
        },
        time: async (count) => (await python.ask<{ ms: number }>({ do: 'time', count })).ms,
        // The next work takes its place.
        dispose() {},
      }
    },
    async close() {
      python.end()
      await rm(folder, { recursive: true })
    },
  }
}

/** The process: a line of JSON to it, a line of JSON back. */
class Python {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  #messages = ''

  constructor() {
    const script = fileURLToPath(new URL('torch_works.py', import.meta.url))
    const env = { ...process.env, OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? String(availableParallelism()) }
    this.#process = spawn(PYTHON, [script], { env, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#process.on('error', (error) => (this.#messages += error.message))
    this.#process.stderr.on('data', (text) => (this.#messages += text))
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  async ask<T>(command: object): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`)
    return await this.answer<T>()
  }

  async answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done) {
      const reason = this.#messages.trim().split('\n').at(-1) || 'the process ended'
      throw new Ld3mError(
        'adapter',
        `PyTorch does not run in ${PYTHON}: ${reason}.`,
        'On Debian: apt-get install python3-torch python3-numpy libopenblas0-pthread (OpenBLAS makes its products fast).',
      )
    }
    const answer = JSON.parse(value) as T & { error?: string }
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer
  }

  end(): void {
    this.#process.stdin.end()
  }
}
