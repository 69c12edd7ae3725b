import { randomUUID } from 'node:crypto'
import { readdir, readFile, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve, sep } from 'node:path'
import { dataError, Ld3mError, optionError, rejectUnknownOptions } from '../errors.ts'
import { classFolders, type DistilledSet, distilledToImageFolder } from '../ld3m/index.ts'
import { listed } from '../words.ts'
import { openRunDirectory, syncDirectory } from './files.ts'

export interface WriteImageFolderOptions {
  /** Whether to replace a folder that an earlier call wrote; one that holds anything else is never touched. Default false. */
  readonly replace?: boolean
}

/** In every folder that this module writes, and what it knows them by. */
const MARK = 'distilled.json'
const IMAGE = /^\d+\.png$/
/** Names that a message lists at most. */
const SHOWN = 5

/**
 * Writes a distilled set as a folder of 8-bit PNG files, a folder a class, in the layout of `distilledToImageFolder`. The
 * folder appears as a whole: it is written under another name beside it, flushed to the disk and renamed.
 * @param directory made with the folders above it; one that is there must be empty, or as `replace` says
 * @throws Ld3mError `option` if the directory is not empty, `data` if it cannot be written, and as
 * `distilledToImageFolder` does
 */
export async function writeImageFolder(
  directory: string,
  set: DistilledSet,
  options: WriteImageFolderOptions = {},
): Promise<void> {
  rejectUnknownOptions('writeImageFolder', options, ['replace'])
  const path = resolve(directory)
  const before = await entriesOf(path)
  if (before && before.length > 0) await checkReplaceable(path, before, options.replace ?? false)
  const files = distilledToImageFolder(set)
  const beside = (purpose: string) => join(dirname(path), `.${basename(path)}.${randomUUID()}.${purpose}`)
  const [next, last] = [beside('tmp'), beside('old')]
  try {
    const folder = await openRunDirectory(next)
    for (const [name, bytes] of files) await folder.writeBytes(name, bytes)
    await syncDirectory(next)
    if (before?.length === 0) await rmdir(path)
    else if (before) await rename(path, last)
    try {
      await rename(next, path)
    } catch (cause) {
      if (before && before.length > 0) await rename(last, path)
      throw cause
    }
    await syncDirectory(dirname(path))
  } catch (cause) {
    await rm(next, { recursive: true, force: true })
    // The file under its passing name tells nobody anything.
    const { message } = (cause instanceof Ld3mError ? cause.cause : cause) as Error
    throw dataError(`Cannot write the folder ${path}: ${message}.`, 'Give a folder that can be written.', cause)
  }
  await rm(last, { recursive: true, force: true })
}

/** What a folder holds; undefined if it is not there. */
async function entriesOf(path: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw dataError(`Cannot read the folder ${path}: ${(cause as Error).message}.`, 'Name a new folder.', cause)
  }
}

async function checkReplaceable(path: string, entries: readonly string[], replace: boolean): Promise<void> {
  if (!replace) {
    throw optionError(`The folder ${path} is not empty.`, 'Name a new one, or replace an earlier export (--force).')
  }
  if (!entries.includes(MARK)) {
    throw optionError(`The folder ${path} holds no export: there is no ${MARK} in it.`, 'Name a new one.')
  }
  const foreign = await foreignIn(path)
  if (foreign.length === 0) return
  throw optionError(
    `The folder ${path} holds what no export wrote: ${listed(foreign, SHOWN)}.`,
    'Move that elsewhere, or name a new folder.',
  )
}

/** What is in an export's folder and is not the export's, as relative paths. */
async function foreignIn(path: string): Promise<string[]> {
  const folders = new Set(classFolders(await classNamesIn(path)))
  const isOwn = ([first = '', image, ...deeper]: readonly string[]) =>
    image === undefined
      ? first === MARK || folders.has(first.normalize('NFC'))
      : deeper.length === 0 && folders.has(first.normalize('NFC')) && IMAGE.test(image)
  return (await readdir(path, { recursive: true })).filter((name) => !isOwn(name.split(sep))).sort()
}

/** The classes of an export; none where its record is not as an export writes it, so that all else is foreign. */
async function classNamesIn(path: string): Promise<string[]> {
  try {
    const { class_names: names } = JSON.parse(await readFile(join(path, MARK), 'utf8'))
    return names.map(String)
  } catch {
    return []
  }
}
