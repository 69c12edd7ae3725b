import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import process from 'node:process'

/** This library's folder in the user's cache folder; it need not exist. */
export function cacheFolder(): string {
  const base = process.env.XDG_CACHE_HOME
  // By the XDG specification a relative path is to be ignored.
  return join(base && isAbsolute(base) ? base : join(homedir(), '.cache'), 'ld3m-gpu')
}
