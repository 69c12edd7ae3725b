// Packs the package, installs the tarball into an empty project, and takes one gradient there: what a user gets.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { root } from './install.mjs'

const PROGRAM = `
import { grad, ops, tensor } from 'ld3m-gpu/autograd'
import { loadParquet, openDevice } from 'ld3m-gpu/node'

const device = await openDevice()
const x = tensor(device, [3], { requiresGrad: true })
const [g] = grad(ops.mul(x, x), [x])
const values = await g.read()
if (values.length !== 1 || values[0] !== 6) throw new Error('d(x*x)/dx at 3 is ' + values + ', not 6')
device.destroy()
console.log('d(x*x)/dx at 3 = ' + values[0])

// Read in a thread, whose program is a file of its own.
const refusal = await loadParquet('gradient.parquet', { size: 4 }).then(() => 'nothing', ({ message }) => message)
if (!refusal.startsWith('Cannot read the metadata')) throw new Error('A file that is not Parquet: ' + refusal)
console.log('a damaged Parquet file is refused')
`

const run = (command, args, cwd) =>
  execFileSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    // On Windows npm is a batch file, which only a shell can start.
    shell: command === 'npm' && process.platform === 'win32',
  })

/** Fails if an entry point's code or types are not among the packed files. */
function checkEntries(packed) {
  const { exports: entries } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  const targets = Object.values(entries).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  )
  const missing = targets.filter((target) => !packed.includes(target.replace(/^\.\//, '')))
  if (missing.length > 0) throw new Error(`The package lacks ${missing.join(', ')}: run npm run build.`)
}

/** Fails if a text that README.md links to is not among the packed files; pictures stay in the repository. */
function checkLinks(packed) {
  const links = readFileSync(`${root}README.md`, 'utf8').matchAll(/(?<!!)\[[^\]]*\]\((?!#|\w+:)([^)#]+)/g)
  const dead = [...new Set(Array.from(links, ([, path]) => path))].filter((path) => !packed.includes(path))
  if (dead.length > 0) throw new Error(`README.md links to ${dead.join(', ')}, which the package lacks.`)
}

/** Compiles a user's program that imports every entry point, with the declarations that are shipped checked as well. */
function checkTypes(folder) {
  const { exports: entries } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  const names = Object.keys(entries).filter((entry) => !entry.includes('package.json'))
  const imports = names.map((entry, i) => `import * as e${i} from 'ld3m-gpu${entry.slice(1)}'\nvoid e${i}\n`)
  writeFileSync(join(folder, 'user.ts'), imports.join(''))
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom']
  const types = ['--types', 'node', '--typeRoots', `${root}node_modules/@types`]
  run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, ...options, ...types, 'user.ts'], folder)
  console.log(`types of ${names.join(', ')} compile`)
}

const folder = mkdtempSync(join(tmpdir(), 'ld3m-gpu-package-'))
try {
  // What was built is packed: the build that packing runs would print among the JSON.
  const pack = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const [{ filename, files, size }] = JSON.parse(run('npm', pack, root))
  console.log(`${filename}: ${files.length} files, ${(size / 1000).toFixed(0)} kB packed`)
  const packed = files.map(({ path }) => path)
  checkEntries(packed)
  checkLinks(packed)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  writeFileSync(join(folder, 'gradient.mjs'), PROGRAM)
  writeFileSync(join(folder, 'gradient.parquet'), PROGRAM)
  run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', filename], folder)
  console.log(run(process.execPath, ['gradient.mjs'], folder).trim())
  checkTypes(folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
