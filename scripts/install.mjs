// Makes a fresh checkout ready to run: checks Node's version and installs the locked packages if they are not there.
import { existsSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { launch } from './launch.mjs'

export const root = fileURLToPath(new URL('..', import.meta.url))

const LOCK = 'package-lock.json'
const INSTALLED = 'node_modules/.package-lock.json'
/** What the locked packages that test and build need; the package itself runs on older ones (`engines`). */
const NEEDED = 'Node 20.19 or newer (of Node 22, 22.12 or newer)'

/** Ends the process with a message if Node is too old, or with npm's exit code if the installation fails. */
export async function prepare() {
  const { node } = process.versions
  if (!isNewEnough(node)) {
    console.error(`A checkout of ld3m-gpu needs ${NEEDED}; this is Node ${node} (${process.execPath}).`)
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

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
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
