// Bundles every entry point except ./node for the browser, from dist, and fails on anything that needs Node.
import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import process from 'node:process'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { root } from './install.mjs'

const NODE_ONLY = ['webgpu', 'sharp', '@sparticuz/chromium']

const needsNode = (path) =>
  path.startsWith('node:') ||
  builtinModules.includes(path) ||
  NODE_ONLY.some((name) => path === name || path.startsWith(`${name}/`))

const noNode = {
  name: 'no-node',
  setup(bundler) {
    bundler.onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      if (needsNode(path)) return { errors: [{ text: `'${path}' is for Node only; ${importer} imports it.` }] }
      return undefined
    })
  },
}

const { exports: entries } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
for (const [entry, target] of Object.entries(entries)) {
  if (entry === './node' || typeof target === 'string') continue
  try {
    const result = await build({
      absWorkingDir: root,
      entryPoints: [target.default],
      bundle: true,
      minify: true,
      platform: 'browser',
      format: 'esm',
      target: 'es2022',
      write: false,
      logLevel: 'error',
      plugins: [noNode],
    })
    const code = result.outputFiles[0].contents
    const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`
    console.log(`${entry}: ${kilobytes(code.length)} minified, ${kilobytes(gzipSync(code).length)} gzipped`)
  } catch {
    // esbuild has printed the errors.
    console.error(`${entry} (${target.default}) does not bundle for the browser.`)
    process.exitCode = 1
  }
}
