// `npm test`: from a fresh checkout to the test suite, in one command. Arguments go to vitest.
import process from 'node:process'
import { prepare, root } from './install.mjs'
import { launch } from './launch.mjs'

await prepare()
const args = ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)]
process.exitCode = await launch(process.execPath, args, { cwd: root })
