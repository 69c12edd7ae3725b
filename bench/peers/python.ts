/** PyTorch, in a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Ld3mError } from '../../src/errors.ts'

/** Which PyTorch, and where it computes. */
export interface TorchOptions {
  /** The interpreter that has it. Default: Debian's, whose PyTorch is the package python3-torch. */
  readonly python?: string
  /** On the CPU (the default), or on the first GPU that CUDA has. */
  readonly cuda?: boolean
}

const DEBIAN_PYTHON = '/usr/bin/python3'

const INSTALL =
  'On Debian: apt-get install python3-torch python3-numpy libopenblas0-pthread (OpenBLAS makes its products fast).'
const OTHER_PYTHON = 'Give the Python that has it, and with --cuda a build with CUDA: --python FILE.'

/** A Python process: a line of JSON to it, a line of JSON back. */
export class Python {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  readonly #python: string
  readonly #advice: string
  #messages = ''

  /** Starts `script cpu|cuda ARG...` with as many threads as there are cores, or OMP_NUM_THREADS. */
  constructor(script: URL, { python = DEBIAN_PYTHON, cuda = false }: TorchOptions, args: readonly string[] = []) {
    this.#python = python
    this.#advice = cuda || python !== DEBIAN_PYTHON ? OTHER_PYTHON : INSTALL
    const env = { ...process.env, OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? String(availableParallelism()) }
    this.#process = spawn(python, [fileURLToPath(script), cuda ? 'cuda' : 'cpu', ...args], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#process.on('error', (error) => (this.#messages += error.message))
    this.#process.stderr.on('data', (text) => (this.#messages += text))
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]()
  }

  /** @throws Ld3mError `adapter` if PyTorch does not start */
  async ask<T>(command: object): Promise<T> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`)
    return await this.answer<T>()
  }

  async answer<T>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done) {
      const reason = this.#messages.trim().split('\n').at(-1) || 'the process ended'
      throw new Ld3mError('adapter', `PyTorch does not run in ${this.#python}: ${reason}.`, this.#advice)
    }
    const answer = JSON.parse(value) as T & { error?: string }
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer
  }

  end(): void {
    this.#process.stdin.end()
  }
}
