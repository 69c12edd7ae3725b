// `npm run demo`: from a fresh checkout to the quickstart, in one command. Arguments go to the example.
import process from 'node:process'
import { prepare, root } from './install.mjs'
import { launch } from './launch.mjs'

await prepare()
const imports = ['--import', './scripts/register.mjs', '--import', './scripts/one-line-errors.mjs']
const args = [...imports, 'examples/quickstart.ts', ...process.argv.slice(2)]
process.exitCode = await launch(process.execPath, args, { cwd: root })
