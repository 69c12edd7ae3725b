/** How long a thread sleeps between two looks at whether the GPU is done. */
const NAP_MS = 0.5

const cell = new Int32Array(new SharedArrayBuffer(4))

/**
 * Waits for something that a software adapter computes, asleep most of the time: while a promise of Dawn is pending, it
 * turns Node's event loop without a pause, and takes a whole core from the threads that do the computing.
 */
export function waitAsleep<T>(pending: Promise<T>): Promise<T> {
  let settled = false
  const settle = () => {
    settled = true
  }
  pending.then(settle, settle)
  const nap = () => {
    if (settled) return
    Atomics.wait(cell, 0, 0, NAP_MS)
    setImmediate(nap)
  }
  setImmediate(nap)
  return pending
}
