// Loaded before an example: what the library throws on purpose says what to do, and needs no stack.
import process from 'node:process'

process.on('uncaughtException', (error) => {
  const ofLibrary = error?.name === 'Ld3mError'
  process.stderr.write(`${ofLibrary ? error.message : (error?.stack ?? error)}\n`)
  process.exit(error?.code === 'aborted' ? 130 : 1)
})
