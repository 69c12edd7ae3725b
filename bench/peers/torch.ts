/** PyTorch as a library to compare with: a Python process that does the works; see torch_works.py. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostArray } from './arrays.ts'
import type { Library, Prepared } from './library.ts'
import { Python, type TorchOptions } from './python.ts'

/**
 * Starts Python with as many threads as there are cores, or OMP_NUM_THREADS.
 * @throws Ld3mError `adapter` if PyTorch does not start
 */
export async function openTorch(options: TorchOptions): Promise<Library> {
  const python = new Python(new URL('torch_works.py', import.meta.url), options)
  const { version, where } = await python.answer<{ version: string; where: string }>()
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-torch-'))
  const file = (name: string) => join(folder, name)

  return {
    name: 'pytorch',
    version: `${version}, ${where}`,
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
