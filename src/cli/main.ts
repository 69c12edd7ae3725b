#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { runCli } from './cli.ts'

// Who reads the output may go, as `head` does: that ends the output, not the work.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

// Beside dist/cli as beside src/cli.
const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
process.exitCode = await runCli(version, process.argv.slice(2))
