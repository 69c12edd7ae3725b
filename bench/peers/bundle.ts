import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** Loads a module of packages' files for bundlers, which Node itself cannot load. */
export async function loadBundled<T>(source: string): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'ld3m-gpu-bench-'))
  const outfile = join(folder, 'bundle.cjs')
  try {
    await build({
      stdin: { contents: source, resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
      ...{ bundle: true, format: 'cjs', platform: 'node', mainFields: ['module', 'main'], outfile, logLevel: 'error' },
    })
    return createRequire(import.meta.url)(outfile) as T
  } finally {
    await rm(folder, { recursive: true })
  }
}
