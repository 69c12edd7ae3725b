import { expect } from 'vitest'
import type { Device, GpuBuffer } from '../../src/gpu/index.ts'

/** Numbers in [−1, 1), the same for the same seed. */
export function numbers(count: number, seed: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

export function upload(device: Device, data: Float32Array): GpuBuffer {
  const buffer = device.alloc(data.byteLength)
  device.upload(buffer, data)
  return buffer
}

/**
 * What `launch` gives by each candidate of the launch function's own list, the default first.
 * @param wanted which candidates to run. Default: all
 */
export async function byCandidate(
  device: Device,
  count: number,
  launch: () => GpuBuffer,
  wanted: (name: string) => boolean = () => true,
): Promise<Map<string, Float32Array>> {
  const results = new Map<string, Float32Array>()
  for (const name of candidatesOf(device, launch).filter(wanted)) {
    const out = choosing(device, (names) => names.indexOf(name), launch)
    results.set(name, new Float32Array(await device.read(out, count * 4)))
    device.release(out)
  }
  return results
}

/** The names of the candidates of a launch, the default first. */
export function candidatesOf(device: Device, launch: () => GpuBuffer): readonly string[] {
  let found: readonly string[] = []
  const see = (names: readonly string[]) => {
    found = names
    return 0
  }
  device.release(choosing(device, see, launch))
  return found
}

function choosing(device: Device, choose: (names: readonly string[]) => number, launch: () => GpuBuffer): GpuBuffer {
  device.tuner.choose = (_kernel, _shape, _fallback, _work, contest) => {
    const { candidates } = contest()
    return candidates[choose(candidates.map(([name]) => name))]![1]
  }
  try {
    return launch()
  } finally {
    Reflect.deleteProperty(device.tuner, 'choose')
  }
}

export function expectSameBits(results: Map<string, Float32Array>): void {
  expect(results.size).toBeGreaterThan(1)
  const bits = (x: Float32Array) => new Int32Array(x.buffer, x.byteOffset, x.length)
  const [first] = results.values()
  for (const [name, result] of results) expect(bits(result), name).toEqual(bits(first!))
}
