import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { dataError, optionError } from '../errors.ts'

const NAME = 'run.lock'

/**
 * Keeps other processes from a run's folder until the returned function is called, or this process is gone. A lock that a
 * killed process left is taken over.
 * @throws Ld3mError `option` if another process has the folder
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, NAME)
  const own = `${process.pid} ${hostname()}`
  const before = readLock(path)
  if (before !== undefined && before !== own && isHeld(before)) {
    const [pid, host] = before.split(' ')
    throw optionError(
      `${folder} is in use by process ${pid} on ${host}.`,
      `Give another folder, or wait; if there is no such process, delete ${path}.`,
    )
  }
  try {
    writeFileSync(path, own)
  } catch (cause) {
    throw dataError(`Cannot write ${path}: ${(cause as Error).message}.`, 'Give a folder that can be written.', cause)
  }
  return () => {
    if (readLock(path) === own) rmSync(path, { force: true })
  }
}

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Whether the process that wrote a lock is there; of another machine's nothing is known. */
function isHeld(lock: string): boolean {
  const [pid, host] = lock.split(' ')
  if (host !== hostname()) return true
  try {
    process.kill(Number(pid), 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
