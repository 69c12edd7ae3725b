import { formatValue, Ld3mError, optionError, shapeError } from '../errors.ts'
import type { Device, GpuBuffer } from '../gpu/index.ts'
import { type Backward, Node, type Saved, save } from './node.ts'
import { type DType, formatShape, type Shape, sameShape } from './shape.ts'
import { type Chain, Storage } from './storage.ts'
import { type Cut, expectTensors, isRecording, Tensor } from './tensor.ts'

/** A result that only the op's gradient uses, such as a norm's statistics. */
export interface Extra {
  readonly buffer: GpuBuffer
  readonly shape: Shape
  readonly dtype?: DType
}

export interface ForwardResult {
  readonly output: GpuBuffer | Chain
  /** Further outputs, f32, which are differentiable like the first. */
  readonly others?: readonly { readonly buffer: GpuBuffer; readonly shape: Shape }[]
  readonly extras?: readonly Extra[]
}

/** What a gradient rule sees. Reading what the op does not save is an error. */
export interface VjpContext<A> extends Backward {
  readonly attrs: A
  readonly shapes: readonly Shape[]
  readonly outputShape: Shape
  /** Input `index`, if `saves` names it. */
  input(index: number): Tensor
  /** The output, if `saves` names it. */
  output(): Tensor
  /** Extra result `index`, if `saves` names `extras`. */
  extra(index: number): Tensor
  /** Says that the rule does not read input `index` any more, so that it can be freed before the rule has ended. */
  release(index: number): void
}

/**
 * A gradient rule: written in ops, so that it can be differentiated again. Gives, for each input that `needs` says true
 * of, an f32 tensor of its shape.
 */
export type Vjp<A> = (context: VjpContext<A>) => readonly (Tensor | undefined)[]

/** Something that an op keeps for its gradient. */
export type Saves = number | 'output' | 'extras'

/** What an input may be; `float` is f32 or f16. */
export type InputType = DType | 'float'

/** What a product saves: each of the first two inputs, if a gradient of the other one may be wanted. */
export const savesFactors = ([first, second]: readonly boolean[]): readonly Saves[] => [
  ...(second ? [0] : []),
  ...(first ? [1] : []),
]

function accepts(types: OpDefinition<never>['inputTypes'], index: number, dtype: DType): boolean {
  if (types === 'any') return dtype !== 'f16'
  const type = types?.[index] ?? 'f32'
  return type === dtype || (type === 'float' && dtype !== 'i32')
}

/** One record an op: everything that is known about it. */
export interface OpDefinition<A> {
  readonly name: string
  /**
   * Shape of the output, or of the first of several; throws Ld3mError `shape` or `option`, naming the argument, what came
   * and what was expected.
   */
  shape(inputs: readonly Tensor[], attrs: A): Shape
  /** The output's element type, or `input` for that of the first input. Default `f32`. */
  readonly dtype?: DType | 'input'
  /** Default: every input is f32. With `any`, the op copies elements of four bytes and does not look at them. */
  readonly inputTypes?: readonly InputType[] | 'any'
  /** Launches the kernels, or gives the chain to be computed when its result is asked for. */
  forward(device: Device, inputs: readonly Tensor[], attrs: A, outputShape: Shape): GpuBuffer | Chain | ForwardResult
  /** What the gradient needs: input numbers, the output, the extras; where it depends, by which inputs may need one. */
  readonly saves: readonly Saves[] | ((attrs: A, needs: readonly boolean[]) => readonly Saves[])
  /** The gradient, or the reason why there is none. */
  readonly vjp: Vjp<A> | { readonly none: string }
}

export interface Op<A> extends OpDefinition<A> {
  /** Applies the op: checks, launches, and records a node if an input requires a gradient. Gives the first output. */
  apply(inputs: readonly Tensor[], attrs: A): Tensor
  /** The same for an op of several outputs: gives all of them. */
  applyAll(inputs: readonly Tensor[], attrs: A): Tensor[]
}

/**
 * Makes an op of its record. docs/custom-ops.md shows one, whole: kernel, launch function, record and check.
 */
export function defineOp<A>(definition: OpDefinition<A>): Op<A> {
  const applyAll = (inputs: readonly Tensor[], attrs: A) => applyOp(definition, inputs, attrs)
  const apply = (inputs: readonly Tensor[], attrs: A): Tensor => {
    const [first, ...others] = applyAll(inputs, attrs)
    for (const other of others) other.dispose()
    return first as Tensor
  }
  return { ...definition, apply, applyAll }
}

function applyOp<A>(op: OpDefinition<A>, inputs: readonly Tensor[], attrs: A): Tensor[] {
  const first = inputs[0] as Tensor
  expectTensors(op.name, inputs)
  const { device } = first
  for (let i = 0; i < inputs.length; i++) {
    const input = inputs[i] as Tensor
    if (input.device !== device) {
      throw shapeError(`${op.name}: its inputs are on different devices.`, 'Create all tensors on one device.')
    }
    if (!accepts(op.inputTypes, i, input.dtype)) {
      const expected = op.inputTypes === 'any' ? 'f32 or i32' : (op.inputTypes?.[i] ?? 'f32')
      const fix = input.dtype === 'f16' ? 'Convert it with toFloat.' : 'Check the argument order.'
      throw shapeError(`${op.name}: input ${i} must be ${expected}, got ${input.dtype}.`, fix)
    }
  }
  const shape = op.shape(inputs, attrs)
  const result = launch(op, device, inputs, attrs, shape)
  const { output, extras = [], others = [] } = 'output' in result ? result : { output: result }
  const storage = new Storage(device, output)
  const extraStorages = extras.map((e) => new Storage(device, e.buffer))
  const node = recordNode(op, inputs, attrs, shape, storage, extras, extraStorages)
  for (const extra of extraStorages) extra.release()
  const cut = node ? undefined : cutOf(op, inputs)
  const dtype = op.dtype === 'input' ? first.dtype : (op.dtype ?? 'f32')
  const outputs = [new Tensor(storage, shape, dtype, node, cut)]
  for (const [i, other] of others.entries()) {
    const place = node && new Node(op.name, [node], [], undefined, i + 1)
    outputs.push(new Tensor(new Storage(device, other.buffer), other.shape, 'f32', place, cut))
  }
  return outputs
}

/** Why the outputs of an op that recorded no node have none, if that is for an op without a gradient. */
function cutOf<A>({ name, vjp }: OpDefinition<A>, inputs: readonly Tensor[]): Cut | undefined {
  if (!isRecording()) return undefined
  if (typeof vjp !== 'function' && inputs.some((x) => x.node)) return { op: name, reason: vjp.none }
  return inputs.find((x) => x.cut)?.cut
}

/** What the op's record launches. If that fails, no memory stays behind, and the error names the op. */
function launch<A>(op: OpDefinition<A>, device: Device, inputs: readonly Tensor[], attrs: A, shape: Shape) {
  try {
    return device.allocating(() => op.forward(device, inputs, attrs, shape))
  } catch (cause) {
    if (!(cause instanceof Ld3mError) || cause.code !== 'memory') throw cause
    const { message, fix } = cause
    const from = inputs.map((x) => formatShape(x.shape)).join(' and ')
    const what = `${op.name}: ${from} to ${formatShape(shape)} is too large. ${message.slice(0, -fix.length).trimEnd()}`
    throw new Ld3mError('memory', what, fix, { cause })
  }
}

function recordNode<A>(
  op: OpDefinition<A>,
  inputs: readonly Tensor[],
  attrs: A,
  outputShape: Shape,
  output: Storage,
  extras: readonly Extra[],
  extraStorages: readonly Storage[],
): Node | undefined {
  const { vjp } = op
  if (!isRecording() || typeof vjp !== 'function' || !inputs.some((t) => t.node)) return undefined
  const count = inputs.length
  const saved: (Saved | undefined)[] = new Array(count + 1 + extras.length).fill(undefined)
  const parents = inputs.map((t) => t.node)
  const saves = typeof op.saves === 'function' ? op.saves(attrs, parents.map(Boolean)) : op.saves
  for (const what of saves) {
    if (what === 'output') {
      saved[count] = save({ storage: output, shape: outputShape, dtype: 'f32', node: undefined })
    } else if (what === 'extras') {
      extras.forEach((e, i) => {
        const storage = extraStorages[i] as Storage
        saved[count + 1 + i] = save({ storage, shape: e.shape, dtype: e.dtype ?? 'f32', node: undefined })
      })
    } else {
      const input = inputs[what]
      if (!input) continue // an optional input that was not given
      saved[what] = save(input)
    }
  }
  const shapes = inputs.map((t) => t.shape)
  return new Node(op.name, parents, saved, (node, backward) => {
    const gradients = vjp({
      grad: backward.grad,
      grads: backward.grads,
      needs: backward.needs,
      createGraph: backward.createGraph,
      retainGraph: backward.retainGraph,
      take: backward.take,
      attrs,
      shapes,
      outputShape,
      input: (index) => restore(node, index),
      output: () => restore(node, count, node),
      extra: (index) => restore(node, count + 1 + index),
      release: (index) => backward.retainGraph || node.freeSaved(index),
    })
    checkGradients(op.name, gradients, backward.needs, shapes)
    return gradients
  })
}

/** A tensor of what a node saved, at its own place in the graph or at `place`. */
function restore(node: Node, index: number, place?: Node): Tensor {
  const s = node.saved(index)
  return new Tensor(s.storage.retain(), s.shape, s.dtype, place ?? s.node)
}

/** Throws unless a rule gave, for each input that needs a gradient, one of its shape: of another, sums would broadcast. */
function checkGradients(name: string, gradients: unknown, needs: readonly boolean[], shapes: readonly Shape[]): void {
  if (!Array.isArray(gradients)) {
    throw optionError(
      `${name}: its vjp returned ${formatValue(gradients)}.`,
      'Return an array, in the order of inputs.',
    )
  }
  for (let i = 0; i < needs.length; i++) {
    if (!needs[i]) continue
    const gradient: unknown = gradients[i]
    const shape = shapes[i] as Shape
    if (!(gradient instanceof Tensor)) {
      const what = `${name}: its vjp gives ${formatValue(gradient)} as the gradient of input ${i}`
      const fix = 'Return a tensor for every input that `needs` says true of.'
      throw new Ld3mError('graph', `${what}, of shape ${formatShape(shape)}.`, fix)
    }
    if (sameShape(gradient.shape, shape) && gradient.dtype === 'f32') continue
    throw shapeError(
      `${name}: its vjp gives a gradient of shape ${formatShape(gradient.shape)} (${gradient.dtype}) for input ${i}, of ` +
        `shape ${formatShape(shape)}.`,
      'Return f32 of the shape of the input; what was broadcast is summed.',
    )
  }
}
