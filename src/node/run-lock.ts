import { randomUUID } from 'node:crypto'
import { readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, uptime } from 'node:os'
import { join } from 'node:path'
import { dataError, optionError } from '../errors.ts'
import { temporaryBeside } from './files.ts'

const NAME = 'run.lock'
/** Seconds between the marks by which other machines see that a process is there, and after which it is not. */
const MARK_EVERY = 30
const GONE_AFTER = 300
/** The same on this machine, for a process whose number may be another's by now: a day, as a process may stand still. */
const REUSED_AFTER = 86_400
/** Seconds that a lock may be empty, because it is being written. */
const WRITTEN_AFTER = 2
const ATTEMPTS = 3

/**
 * Keeps others from a run's folder until the returned function is called, or this process is gone. A lock that a killed
 * process left is taken over: at once on the same machine (after a day, if another process there has its number), after
 * five minutes on another.
 * @throws Ld3mError `option` if somebody else has the folder; `data` if it cannot be written
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, NAME)
  const own = `${process.pid} ${hostname()} ${randomUUID()}`
  for (let attempt = 1; !create(path, own); attempt++) {
    const text = read(path)
    const holder = holderOf(path, text)
    if (holder === undefined && attempt < ATTEMPTS) {
      if (text !== undefined) putAway(path, text)
      continue
    }
    throw optionError(
      `${folder} is in use by ${holder ?? 'another process'}.`,
      `Give another folder, or wait until it is done; if there is no such process, delete ${path}.`,
    )
  }
  // A file server's clock may differ from this machine's, by which its age is told.
  mark(path, own)
  const marking = setInterval(() => mark(path, own), MARK_EVERY * 1000)
  marking.unref()
  return () => {
    clearInterval(marking)
    if (read(path) === own) rmSync(path, { force: true })
  }
}

/** Whether the lock was there for this process to make. */
function create(path: string, own: string): boolean {
  try {
    writeFileSync(path, own, { flag: 'wx' })
    return true
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw dataError(`Cannot write ${path}: ${(cause as Error).message}.`, 'Give a folder that can be written.', cause)
  }
}

/** Removes the lock of a process that is gone, unless another process has taken it over in between. */
function putAway(path: string, text: string): void {
  const aside = temporaryBeside(path)
  try {
    renameSync(path, aside)
    // Renamed first: what is read cannot be replaced any more.
    if (read(aside) === text) rmSync(aside)
    else renameSync(aside, path)
  } catch {
    // Another process was faster; the next attempt sees what it left.
  }
}

function mark(path: string, own: string): void {
  if (read(path) !== own) return
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {
    // Removed in between: it was this process's to remove, or somebody's who knows that.
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Who has the folder, by the lock's text; undefined if that process is gone, or was while it wrote the lock. */
function holderOf(path: string, text = ''): string | undefined {
  const [pid, host] = text.split(' ')
  const age = ageOf(path)
  if (!pid || !host) return age < WRITTEN_AFTER ? 'another process' : undefined
  const isThere = host === hostname() ? isRunning(Number(pid)) && age < mostAgeOf(Number(pid)) : age < GONE_AFTER
  return isThere ? `process ${pid} on ${host}` : undefined
}

/** Seconds for which the lock of a process on this machine may be unmarked. What is older was an earlier process's. */
const mostAgeOf = (pid: number): number => (pid === process.pid ? process.uptime() : Math.min(uptime(), REUSED_AFTER))

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Seconds since a lock was marked. */
function ageOf(path: string): number {
  try {
    return (Date.now() - statSync(path).mtimeMs) / 1000
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
