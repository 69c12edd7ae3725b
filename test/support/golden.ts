import { readFileSync } from 'node:fs'
import { grad, ops, scope, type Tensor, tensor } from '../../src/autograd/index.ts'
import type { Device } from '../../src/gpu/index.ts'
import { loadStateDict, type Module, type StateDict } from '../../src/models/index.ts'
import { expectClose, uniform } from './checks.ts'

/** [norm, projection on draws] of a gradient. */
export type GradientSummary = Readonly<Record<string, readonly [number, number]>>

/** A file that test/golden/make_goldens.py wrote. */
export const readGolden = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), 'utf8')) as T

/** The draws that make_goldens.py calls `values`. */
export function values(seed: number, shape: readonly number[], low = -1, high = 1): Float32Array<ArrayBuffer> {
  const random = uniform(seed)
  return Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => low + random() * (high - low))
}

export const valuesTensor = (device: Device, seed: number, shape: number[], low = -1, high = 1): Tensor =>
  tensor(device, values(seed, shape, low, high), { shape })

/** The parameters that make_goldens.py fills a module with: parameter k in order of name draws from seed + k. */
export function goldenState(device: Device, module: Pick<Module, 'parameters'>, seed: number): StateDict {
  const names = Object.keys(module.parameters).sort()
  const arrays = names.map((name, k) => {
    const { shape } = module.parameters[name]!
    const bound = 1 / Math.sqrt(shape.length > 1 ? shape.slice(1).reduce((n, d) => n * d, 1) : shape[0]!)
    const data = values(seed + k, shape, -bound, bound)
    const isNormWeight = shape.length === 1 && name.endsWith('weight')
    return [name, { shape, data: isNormWeight ? data.map((v) => v + 1) : data }] as const
  })
  return loadStateDict(device, module, Object.fromEntries(arrays))
}

/**
 * Fails unless the gradients of `loss` are the golden's: their norms and projections, each to `tolerance` of the largest
 * norm (gradients that are zero in exact arithmetic are rounding noise).
 */
export async function expectGradients(
  loss: () => Tensor,
  named: Readonly<Record<string, Tensor>>,
  golden: GradientSummary,
  tolerance: number,
): Promise<void> {
  const names = Object.keys(named).sort()
  const gradients = scope(() =>
    grad(
      loss(),
      names.map((n) => named[n]!),
      { allowUnused: true },
    ),
  )
  const actual: number[] = []
  for (const [k, g] of gradients.entries()) {
    const data = await g.read()
    const r = values(9000 + k, g.shape)
    let squares = 0
    let projection = 0
    data.forEach((v, i) => {
      squares += v * v
      projection += v * r[i]!
    })
    actual.push(Math.sqrt(squares), projection)
    g.dispose()
  }
  const expected = names.flatMap((n) => [...golden[n]!])
  // Parameters differ in size by orders of magnitude: each is held to its own norm, down to a hundredth of the largest.
  const largest = Math.max(...expected.map(Math.abs))
  for (const [k, name] of names.entries()) {
    const scale = Math.max(expected[2 * k]!, largest * 0.01)
    expectClose(
      actual.slice(2 * k, 2 * k + 2).map((v) => v / scale),
      expected.slice(2 * k, 2 * k + 2).map((v) => v / scale),
      tolerance,
      `gradient of ${name}`,
    )
  }
}

/** Σ x·w for draws w of seed 3, the goldens' scalar. */
export const project = (x: Tensor): Tensor => ops.sum(ops.mul(x, valuesTensor(x.device, 3, [...x.shape])))
