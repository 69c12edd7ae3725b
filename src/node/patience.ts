/** How long the thread sleeps between two looks at whether the GPU is done. */
const NAP_MS = 0.5

const cell = new Int32Array(new SharedArrayBuffer(4))
let waiting = 0
let napping = false

function nap(): void {
  napping = waiting > 0
  if (!napping) return
  Atomics.wait(cell, 0, 0, NAP_MS)
  setImmediate(nap)
}

/**
 * Waits for something that a software adapter computes, asleep most of the time: while a promise of Dawn is pending, it
 * turns Node's event loop without a pause, and takes a whole core from the threads that do the computing. However many
 * promises are pending, the thread sleeps once a turn.
 */
export function waitAsleep<T>(pending: Promise<T>): Promise<T> {
  const settle = () => {
    waiting--
  }
  waiting++
  pending.then(settle, settle)
  if (!napping) {
    napping = true
    setImmediate(nap)
  }
  return pending
}
