import { randomUUID } from 'node:crypto'
import { readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { dataError, optionError } from '../errors.ts'

const NAME = 'run.lock'
/** Seconds between the marks by which other machines see that a process is there, and after which it is not. */
const MARK_EVERY = 30
const GONE_AFTER = 300
const ATTEMPTS = 3

/**
 * Keeps others from a run's folder until the returned function is called, or this process is gone. A lock that a killed
 * process left is taken over: at once on the same machine, after five minutes on another.
 * @throws Ld3mError `option` if somebody else has the folder; `data` if it cannot be written
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, NAME)
  const own = `${process.pid} ${hostname()} ${randomUUID()}`
  for (let attempt = 1; !create(path, own); attempt++) {
    const holder = holderOf(path)
    if (holder === undefined && attempt < ATTEMPTS) {
      rmSync(path, { force: true })
      continue
    }
    throw optionError(
      `${folder} is in use by ${holder ?? 'another process'}.`,
      `Give another folder, or wait until it is done; if there is no such process, delete ${path}.`,
    )
  }
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

/** Who has the folder; undefined if that process is gone, or was while it wrote the lock. */
function holderOf(path: string): string | undefined {
  const [pid, host] = (read(path) ?? '').split(' ')
  if (!pid || !host) return undefined
  const there = host === hostname() ? isRunning(Number(pid)) : ageOf(path) < GONE_AFTER
  return there ? `process ${pid} on ${host}` : undefined
}

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
