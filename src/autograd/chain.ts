import type { Device, GpuBuffer } from '../gpu/index.ts'
import * as kernels from '../kernels/index.ts'
import type { Shape } from './shape.ts'
import { sizeOf } from './shape.ts'
import type { Chain, Storage } from './storage.ts'
import type { Tensor } from './tensor.ts'

type Function = kernels.UnaryFunction | kernels.BinaryFunction

/**
 * How many chains may take over the steps of one that is not computed. A further consumer makes it compute, so that no
 * work is repeated without bound.
 */
const MAX_INLINED = 1

/** An input of the function that is appended. */
interface Operand {
  readonly storage: Storage
  readonly layout: kernels.Layout
  /** Set where the input is a chain whose steps are taken over. */
  readonly chain: Chain | undefined
}

/** A program in the making: equal sources and equal steps are kept once. */
class Builder {
  readonly sources: Storage[] = []
  readonly layouts: kernels.Layout[] = []
  readonly steps: kernels.Step[] = []

  source(storage: Storage, layout: kernels.Layout): number {
    for (const [k, known] of this.sources.entries()) {
      if (known === storage && kernels.sameLayout(this.layouts[k] as kernels.Layout, layout)) return k
    }
    this.layouts.push(layout)
    return this.sources.push(storage) - 1
  }

  step(step: kernels.Step): number {
    const { f, x, y, p, q } = step
    for (const [t, s] of this.steps.entries()) {
      if (s.f === f && s.x === x && s.y === y && s.p === p && s.q === q) return -1 - t
    }
    return -this.steps.push(step)
  }

  /** Takes over a chain; gives its result. */
  chain({ sources, layouts, steps }: Chain): number {
    const places = sources.map((source, k) => this.source(source, layouts[k] as kernels.Layout))
    const results: number[] = []
    const value = (v: number) => (v < 0 ? results[-1 - v] : places[v]) as number
    for (const step of steps) results.push(this.step({ ...step, x: value(step.x), y: value(step.y) }))
    return value(steps.length > 0 ? -steps.length : 0)
  }

  operand({ storage, layout, chain }: Operand): number {
    return chain ? this.chain(chain) : this.source(storage, layout)
  }
}

/**
 * An elementwise function of one or two tensors with broadcasting to `shape`, to be computed when it is asked for; or,
 * without a function, the one tensor broadcast. Where an input is itself a chain, the new one takes over its steps, if
 * that fits one launch. On a device that does not fuse, it is computed at once.
 * @throws Ld3mError `shape` if broadcasting alternates between more dimensions than kernels walk
 */
export function chain(
  device: Device,
  f: Function | undefined,
  inputs: readonly Tensor[],
  shape: Shape,
  p = 0,
  q = 0,
): GpuBuffer | Chain {
  const count = sizeOf(shape)
  const operands: Operand[] = inputs.map(({ storage, shape: own }) => {
    const layout = kernels.layoutOf(own, shape)
    return { storage, layout, chain: layout.kind === 'dense' ? storage.chain : undefined }
  })
  for (;;) {
    const program = append(count, f, operands, p, q)
    if (program) return device.fuse ? finish(program, operands) : compute(device, program)
    const longest = operands.reduce((a, b) => (sizeOfChain(b) > sizeOfChain(a) ? b : a))
    // Only storages are left, and what cannot be walked is the caller's shapes.
    if (!longest.chain) {
      const layouts = operands.map(({ layout }) => layout)
      kernels.walkFor(
        layouts,
        inputs.map((x) => x.shape),
      )
    }
    operands[operands.indexOf(longest)] = { ...longest, chain: undefined }
  }
}

const sizeOfChain = ({ chain }: Operand) => (chain ? chain.steps.length + chain.sources.length : 0)

/** The chain of `f` after its operands' chains, or undefined if a chain among them is not to be taken over. */
function append(count: number, f: Function | undefined, operands: Operand[], p: number, q: number): Chain | undefined {
  const builder = new Builder()
  const values = new Array<number>(operands.length)
  // Those that may be taken over only where it costs nothing come last: x·σ(x) holds the steps of x already.
  for (const last of [false, true]) {
    for (const [i, operand] of operands.entries()) {
      const used = (operand.chain?.steps.length ?? 0) > 0 && operand.storage.inlined >= MAX_INLINED
      if (used !== last) continue
      const before = builder.steps.length
      values[i] = builder.operand(operand)
      if (used && builder.steps.length > before) {
        operands[i] = { ...operand, chain: undefined }
        return append(count, f, operands, p, q)
      }
    }
  }
  const [x = 0, y = x] = values
  if (f) builder.step({ f, x, y, p, q })
  const program = { count, sources: builder.sources, layouts: builder.layouts, steps: builder.steps }
  return kernels.fits(program) ? program : undefined
}

function finish(program: Chain, operands: readonly Operand[]): Chain {
  for (const { storage, chain } of operands) {
    if (chain) storage.inlined++
    else storage.buffer
  }
  return program
}

const compute = (device: Device, program: Chain): GpuBuffer =>
  kernels.elementwise(
    device,
    program,
    program.sources.map((source) => source.buffer),
  )
