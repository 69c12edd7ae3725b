import { readFileSync } from 'node:fs'
import process from 'node:process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Ld3mError } from '../errors.ts'
import type { Housekeeping } from '../gpu/index.ts'

/** Memory mappings that must be left: what a few thousand bind groups may take on lavapipe, and as much again. */
const SPARE = 12_000

let gc: (() => void) | undefined
/** Memory mappings that a process may have; undefined where that is not known. */
let most: number | undefined
try {
  if (process.platform === 'linux') most = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8'))
} catch {
  // Without a limit that can be read there is none to keep to.
}

function mappings(): number {
  const maps = readFileSync('/proc/self/maps')
  let lines = 0
  for (let at = maps.indexOf(10); at >= 0; at = maps.indexOf(10, at + 1)) lines++
  return lines
}

/**
 * For software adapters: lavapipe takes one to three memory mappings for each bind group and crashes when the process has
 * no more. Dawn's objects are a few bytes to JavaScript, which sees no reason to collect them, and their memory is freed
 * only when the event loop turns.
 */
export const housekeeping: Housekeeping = {
  collect() {
    if (!gc) {
      setFlagsFromString('--expose-gc')
      gc = runInNewContext('gc') as () => void
    }
    gc()
  },
  check() {
    if (most === undefined) return
    const used = mappings()
    if (used + SPARE <= most) return
    throw new Ld3mError(
      'memory',
      `The software adapter holds ${used} of the ${most} memory mappings that a process may have: too many kernels with ` +
        'buffers of their own were recorded without a pause.',
      'Use diffusion.checkpoint or checkpoint(), await device.synchronize() now and then, or raise vm.max_map_count.',
    )
  },
}
