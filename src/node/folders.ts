import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { dataError, optionError } from '../errors.ts'

/** A part of a dataset. */
export type Split = 'train' | 'validation' | 'test'

/**
 * What the parts are called in the wild, by preference: ImageNet's labelled images to test on are those of `val`, so that
 * `test` means them where there is nothing called test.
 */
const SPLIT_NAMES: Readonly<Record<Split, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'val', 'valid', 'dev'],
  test: ['test', 'testing', 'val', 'validation', 'valid'],
}

const ALL_SPLIT_NAMES = new Set(Object.values(SPLIT_NAMES).flat())

/** Throws unless `split` is one. */
export function checkSplit(where: string, split: string | undefined): void {
  if (split !== undefined && !Object.hasOwn(SPLIT_NAMES, split)) {
    throw optionError(`${where}: split is ${JSON.stringify(split)}.`, "Give 'train', 'validation' or 'test'.")
  }
}

/** True if a file or folder of that name is a part of a dataset. */
export const isSplitName = (name: string): boolean => ALL_SPLIT_NAMES.has(name.toLowerCase())

/** The names among `names` that stand for a split, by the first of its spellings that is there. */
export function namesOfSplit(split: Split, names: readonly string[], spelling = (name: string) => name): string[] {
  for (const known of SPLIT_NAMES[split]) {
    const found = names.filter((name) => spelling(name).toLowerCase() === known)
    if (found.length > 0) return found
  }
  return []
}

/** What a folder holds, by kind and in the order of their names; hidden entries are left out, links are followed. */
export interface Listing {
  readonly folders: readonly string[]
  readonly files: readonly string[]
}

/**
 * Lists a folder.
 * @throws Ld3mError `data` if it is missing or cannot be read
 */
export async function listFolder(path: string): Promise<Listing> {
  const folders: string[] = []
  const files: string[] = []
  try {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue
      const is = entry.isSymbolicLink() ? await stat(join(path, entry.name)) : entry
      if (is.isDirectory()) folders.push(entry.name)
      else if (is.isFile()) files.push(entry.name)
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOTDIR') {
      throw dataError(`${path} is a file, not a folder.`, 'Give the folder that the dataset is in.', cause)
    }
    const why = cause instanceof Error ? cause.message : String(cause)
    throw dataError(`Cannot read the folder ${path}: ${why}.`, 'Give a folder that exists and can be read.', cause)
  }
  return { folders: folders.sort(), files: files.sort() }
}

/** A list for a message. */
export const named = (names: readonly string[]): string =>
  names.length === 0 ? 'nothing' : names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '')
