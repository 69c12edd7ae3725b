// Runs a command in this process's place: same terminal, same signals, same end.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import process from 'node:process'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * Runs `command` with inherited stdio, passing signals on.
 * @returns its exit code; 128 plus the signal's number, as in a shell, if a signal ended it
 */
export function launch(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options })
    const forward = (signal) => {
      // A terminal sends its Ctrl-C to the child too; a second one would cut the child's own clean-up short.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    const end = () => {
      for (const signal of SIGNALS) process.off(signal, forward)
    }
    for (const signal of SIGNALS) process.on(signal, forward)
    child.on('error', (error) => {
      end()
      reject(error)
    })
    child.on('exit', (code, signal) => {
      end()
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}
