import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import { parseTar } from 'nanotar'
import { Ld3mError } from '../errors.ts'
import { cacheFolder } from './cache.ts'

const LOADER = 'libvulkan.so.1'
const DRIVER_FILE = 'vk_swiftshader_icd.json'
/** What we need of the archive, which also holds OpenGL. The driver file names its library relative to itself. */
const FILES = [LOADER, 'libvk_swiftshader.so', DRIVER_FILE]

/** glibc's RTLD_NODELETE: the library stays when Node closes it, as Node does because it is no Node addon. */
const RTLD_NODELETE = 0x1000

/**
 * Makes SwiftShader, the software Vulkan driver, ready: unpacks it on first use into the user's cache folder and loads
 * the Vulkan loader that comes with it, since the system may have none.
 * @returns the path of its driver file, for VK_DRIVER_FILES
 * @throws Ld3mError `adapter` if the package that carries it is not installed, has no build for this system, or
 *   cannot be unpacked or loaded
 */
export async function prepareSwiftShader(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Ld3mError(
      'adapter',
      `There is no SwiftShader for ${process.platform} ${process.arch}, only for linux x64.`,
      'Use a GPU, or lavapipe on Linux.',
    )
  }
  const folder = await unpack()
  loadVulkan(join(folder, LOADER))
  return join(folder, DRIVER_FILE)
}

/** The folder with SwiftShader's files, complete as soon as it exists. */
async function unpack(): Promise<string> {
  const source = await locatePackage()
  const cache = cacheFolder()
  const folder = join(cache, `swiftshader-${source.version}`)
  if (await exists(folder)) return folder
  try {
    const archive = await readFile(source.archive)
    const entries = parseTar(await promisify(brotliDecompress)(archive))
    await mkdir(cache, { recursive: true, mode: 0o700 })
    const draft = await mkdtemp(join(cache, '.swiftshader-'))
    try {
      for (const name of FILES) {
        const data = entries.find((entry) => entry.name.replace(/^\.\//, '') === name)?.data
        if (data === undefined) throw new Error(`${source.archive} holds no ${name}`)
        await writeFile(join(draft, name), data, { mode: 0o755 })
      }
      await publish(draft, folder)
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  } catch (cause) {
    throw new Ld3mError(
      'adapter',
      `SwiftShader could not be unpacked into ${folder}: ${(cause as Error).message}.`,
      'Set XDG_CACHE_HOME to a folder that can be written, or reinstall @sparticuz/chromium.',
      { cause },
    )
  }
  return folder
}

/** Puts a complete folder in its place; another process may have been first, with the same files. */
async function publish(draft: string, folder: string): Promise<void> {
  try {
    await rename(draft, folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  }
}

async function locatePackage(): Promise<{ archive: string; version: string }> {
  const name = '@sparticuz/chromium'
  try {
    // The package exports only its entry, <package>/build/cjs/index.cjs.
    const root = dirname(dirname(dirname(createRequire(import.meta.url).resolve(name))))
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    return { archive: join(root, 'bin', 'swiftshader.tar.br'), version }
  } catch (cause) {
    throw new Ld3mError(
      'adapter',
      `The optional package ${name}, which carries SwiftShader, is not installed.`,
      'Install it with npm install --include=optional.',
      { cause },
    )
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}

/** Loads a Vulkan loader for good, so that Dawn finds it by its name where the system has none. */
function loadVulkan(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, constants.dlopen.RTLD_NOW | RTLD_NODELETE)
  } catch (cause) {
    // Node opened the library and then found that it is no addon, which is all that we wanted.
    if ((cause as Error).message.includes('did not self-register')) return
    throw new Ld3mError(
      'adapter',
      `SwiftShader's Vulkan loader did not load: ${(cause as Error).message}.`,
      'If the cache folder is mounted without the right to execute, set XDG_CACHE_HOME to another folder.',
      { cause },
    )
  }
}
