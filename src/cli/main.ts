#!/usr/bin/env node
import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { runCli } from './cli.ts'

// Beside dist/cli as beside src/cli.
const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
process.exitCode = await runCli(version, process.argv.slice(2))
