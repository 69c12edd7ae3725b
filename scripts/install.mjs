// Makes a fresh checkout ready to run: checks Node's version and installs the locked packages if they are not there.
import { existsSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { launch } from './launch.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))

const LOCK = 'package-lock.json'
const INSTALLED = 'node_modules/.package-lock.json'

/** Ends the process with a message if Node is too old, or with npm's exit code if the installation fails. */
export async function prepare() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 11)) {
    console.error(`ld3m-gpu needs Node 20.11 or newer; this is Node ${process.versions.node} (${process.execPath}).`)
    process.exit(1)
  }
  if (isInstalled()) return
  console.error(`Installing the packages of ${LOCK} (npm ci)`)
  // On Windows npm is a batch file, which only a shell can start.
  const code = await launch('npm', ['ci'], { cwd: root, shell: process.platform === 'win32' })
  if (code !== 0) {
    console.error('npm ci failed; see above.')
    process.exit(code)
  }
}

/**
 * Whether node_modules holds what the lock file says. npm's own record is compared rather than file times, which git
 * and npm set in no useful order. Optional packages may be absent: most are for other systems.
 */
function isInstalled() {
  if (!existsSync(root + INSTALLED)) return false
  const locked = packagesIn(LOCK)
  const installed = packagesIn(INSTALLED)
  return Object.entries(locked).every(([path, { version, optional, devOptional, link }]) => {
    if (path === '' || link) return true
    const there = installed[path]
    return there === undefined ? optional || devOptional : there.version === version
  })
}

function packagesIn(file) {
  return JSON.parse(readFileSync(root + file, 'utf8')).packages
}
