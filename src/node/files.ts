import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, normalize, resolve, sep } from 'node:path'
import { dataError, Ld3mError, optionError } from '../errors.ts'
import { readSafetensors, type StoredTensor, type TensorFile, writeSafetensors } from '../io/index.ts'
import { withFile } from './source.ts'

/** How the names of files end that are being written. */
const TEMPORARY = '.tmp'
const LEFTOVER = /^\..+\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/

/** A passing name for what is to be at a path, or was; see `removeLeftovers`. */
export const temporaryBeside = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${randomUUID()}${TEMPORARY}`)

/**
 * Writes a file so that a reader, or this machine after a power cut, finds the old bytes or the new ones, never a
 * part: a temporary file beside it is written, flushed to the disk and renamed. Content may come piece by piece.
 * @throws Ld3mError `data` if the folder is missing or cannot be written
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = temporaryBeside(path)
  try {
    const file = await open(temporary, 'wx')
    try {
      if (typeof content === 'string' || content instanceof Uint8Array) await file.writeFile(content)
      else for await (const piece of content) await file.writeFile(piece)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  } catch (cause) {
    await rm(temporary, { force: true })
    if (cause instanceof Ld3mError) throw cause
    throw dataError(
      `Cannot write ${path}: ${reason(cause)}.`,
      'Give a file name in a folder that exists and is writable.',
      cause,
    )
  }
}

/**
 * Reads a safetensors file.
 * @throws Ld3mError `data` if it is missing or breaks a rule of the format
 */
export async function readTensors(path: string): Promise<TensorFile> {
  return readSafetensors(await readBytes(path), path)
}

/**
 * Writes a safetensors file, atomically and the same bytes for the same tensors.
 * @throws Ld3mError `shape` or `option` if a tensor cannot be stored, `data` if the file cannot be written
 */
export async function writeTensors(
  path: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, writeSafetensors(tensors, metadata))
}

/** A folder for what one run leaves behind. Names are relative, may have subfolders, and are written atomically. */
export interface RunDirectory {
  /** The folder's absolute path. */
  readonly path: string
  /** The absolute path of a name. Throws Ld3mError `option` if it would leave the folder. */
  pathOf(name: string): string
  /** Throws Ld3mError `numeric` if a number is NaN or infinite, which JSON would silently turn into null. */
  writeJson(name: string, value: unknown): Promise<void>
  writeBytes(name: string, bytes: Uint8Array): Promise<void>
  writeTensors(
    name: string,
    tensors: ReadonlyMap<string, StoredTensor>,
    metadata?: Readonly<Record<string, string>>,
  ): Promise<void>
  writeHtml(name: string, html: string): Promise<void>
}

/**
 * Opens the folder of a run, and makes it if it is not there.
 * @throws Ld3mError `data` if it cannot be made
 */
export async function openRunDirectory(directory: string): Promise<RunDirectory> {
  const path = resolve(directory)
  await makeDirectory(path)
  const pathOf = (name: string) => {
    const inside = normalize(name)
    if (
      isAbsolute(inside) ||
      ['', '.', '..'].includes(inside) ||
      inside.startsWith(`..${sep}`) ||
      inside.endsWith(sep)
    ) {
      throw optionError(`'${name}' is not a file name inside the run directory.`, 'Give a relative name without "..".')
    }
    return join(path, inside)
  }
  const write = async (name: string, content: Uint8Array | string) => {
    const file = pathOf(name)
    await makeDirectory(dirname(file))
    await writeFileAtomic(file, content)
  }
  return {
    path,
    pathOf,
    writeJson: async (name, value) => await write(name, `${JSON.stringify(value, rejectNonFinite(name), 2)}\n`),
    writeBytes: write,
    writeTensors: async (name, tensors, metadata) => await write(name, writeSafetensors(tensors, metadata)),
    writeHtml: write,
  }
}

const rejectNonFinite = (name: string) => (key: string, value: unknown) => {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new Ld3mError(
      'numeric',
      `Cannot write '${name}': '${key}' is ${value}.`,
      'Write a finite number or leave it out.',
    )
  }
  return value
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (cause) {
    throw dataError(`Cannot make the folder ${path}: ${reason(cause)}.`, 'Give a folder that can be written.', cause)
  }
}

/** Removes what `writeFileAtomic` left in a folder when its process was killed: call it where nobody else writes. */
export async function removeLeftovers(directory: string): Promise<void> {
  const left = (await readdir(directory)).filter((name) => LEFTOVER.test(name))
  await Promise.all(left.map((name) => rm(join(directory, name), { force: true })))
}

/** All of a file. */
export const readBytes = (path: string): Promise<Uint8Array<ArrayBuffer>> =>
  withFile(path, (file) => file.read(0, file.size))

/**
 * A file's bytes, or undefined where there is none.
 * @throws Ld3mError `data` if it is there and cannot be read
 */
export async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return existsSync(path) ? await readBytes(path) : undefined
}

/** After a rename, the folder's entry itself may still be in memory only. Windows cannot flush a folder. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

const reason = (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))
