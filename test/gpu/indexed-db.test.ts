import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import chromium from '@sparticuz/chromium'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { indexedDbStore } from '../../src/gpu/index.ts'

const SCRIPT = `
  import { indexedDbStore } from './src/gpu/indexed-db.ts'
  const store = indexedDbStore()
  const found = [await store.load('a')]
  await store.save('a', 'one')
  await store.save('b', 'two')
  await store.save('a', 'three')
  found.push(await store.load('a'), await indexedDbStore().load('b'))
  await fetch('/found', { method: 'POST', body: JSON.stringify(found) })
`

test('there is no IndexedDB store outside a browser', () => {
  expect(indexedDbStore()).toBeUndefined()
})

// The package carries a browser for this system only.
test.runIf(process.platform === 'linux' && process.arch === 'x64')('a browser keeps and replaces texts', async () => {
  const stdin = { contents: SCRIPT, resolveDir: join(import.meta.dirname, '../..') }
  const bundle = await build({ stdin, bundle: true, write: false, format: 'esm', logLevel: 'error' })
  const profile = await mkdtemp(join(tmpdir(), 'ld3m-browser-'))
  let browser: ChildProcess | undefined
  const server = createServer()
  try {
    const found = new Promise<unknown>((resolve, reject) => {
      server.on('request', (request, response) => {
        if (request.method === 'POST') {
          let text = ''
          request.on('data', (part) => {
            text += part
          })
          request.on('end', () => {
            response.end()
            resolve(JSON.parse(text))
          })
        } else if (request.url === '/script.js') {
          response.setHeader('content-type', 'text/javascript').end(bundle.outputFiles[0]!.text)
        } else {
          response.setHeader('content-type', 'text/html').end('<script type="module" src="/script.js"></script>')
        }
      })
      server.on('error', reject)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
    const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--single-process', '--no-zygote']
    browser = spawn(await chromium.executablePath(), [...flags, `--user-data-dir=${profile}`, url], { stdio: 'ignore' })
    const gone = once(browser, 'exit').then(([code]) =>
      Promise.reject(new Error(`the browser ended with code ${code}`)),
    )
    // JSON writes undefined as null.
    expect(await Promise.race([found, gone])).toEqual([null, 'three', 'two'])
    browser.removeAllListeners('exit')
  } finally {
    if (browser?.exitCode === null) {
      browser.kill()
      await once(browser, 'close')
    }
    server.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
})
