import { registry } from '../../src/autograd/index.ts'
import { Device } from '../../src/gpu/index.ts'
import type { Work } from './work.ts'

/** Median and 90th percentile over samples. */
export interface Spread {
  readonly median: number
  readonly p90: number
}

/** What one piece of work costs the CPU. */
export interface Overhead {
  readonly name: string
  /** Ops applied, and kernels dispatched, by one run of it. */
  readonly ops: number
  readonly dispatches: number
  /** µs an op; undefined where none is applied. */
  readonly op: Spread | undefined
  /** µs a dispatch. */
  readonly dispatch: Spread
  readonly unit: Work['unit']
  readonly target: number | undefined
}

/** Counts what `run` applies and dispatches. */
export function count(device: Device, run: () => void): { ops: number; dispatches: number } {
  const counted = { ops: 0, dispatches: 0 }
  const covered = Object.values(registry).map((op) => [op, op.apply, op.applyAll] as const)
  for (const [op, apply, applyAll] of covered) {
    op.apply = (...args: Parameters<typeof apply>) => {
      counted.ops++
      return apply(...(args as [never, never]))
    }
    op.applyAll = (...args: Parameters<typeof applyAll>) => {
      counted.ops++
      return applyAll(...(args as [never, never]))
    }
  }
  device.dispatch = (...args) => {
    counted.dispatches++
    Device.prototype.dispatch.apply(device, args)
  }
  try {
    run()
  } finally {
    for (const [op, apply, applyAll] of covered) Object.assign(op, { apply, applyAll })
    Reflect.deleteProperty(device, 'dispatch')
  }
  return counted
}

function spread(samples: readonly number[], units: number): Spread {
  const ascending = samples.map((ms) => (ms * 1000) / units).sort((a, b) => a - b)
  const at = (q: number) => ascending[Math.floor(q * (ascending.length - 1))] as number
  return { median: at(0.5), p90: at(0.9) }
}

/**
 * Times samples of `repeats` runs, each with the submission of what it recorded. Between samples the device is waited
 * for, untimed, so that no backlog grows.
 */
export async function overheadOf(device: Device, work: Work, samples: number): Promise<Overhead> {
  const counts = count(device, () => work.run())
  const times: number[] = []
  const warmUp = Math.ceil(samples / 4)
  for (let sample = -warmUp; sample < samples; sample++) {
    await device.synchronize()
    const start = performance.now()
    for (let i = 0; i < work.repeats; i++) work.run()
    device.flush()
    const ms = performance.now() - start
    if (sample >= 0) times.push(ms)
  }
  return {
    name: work.name,
    ...counts,
    op: counts.ops > 0 ? spread(times, counts.ops * work.repeats) : undefined,
    dispatch: spread(times, counts.dispatches * work.repeats),
    unit: work.unit,
    target: work.target,
  }
}
