import { formatShape, keep, sameShape, type Tensor, zeros } from '../autograd/index.ts'
import { formatValue, Ld3mError, optionError, shapeError } from '../errors.ts'

/** Tensors by the names of the parameters they belong to. */
export type NamedTensors = Readonly<Record<string, Tensor>>

/** One zero tensor a parameter, beyond every scope. */
export const zerosLike = (parameters: NamedTensors): Record<string, Tensor> =>
  Object.fromEntries(Object.entries(parameters).map(([name, p]) => [name, keep(zeros(p.device, p.shape))]))

/** Throws unless every parameter is f32: the kernels that update read and write nothing else. */
export function checkParameters(where: string, parameters: NamedTensors): void {
  for (const [name, p] of Object.entries(parameters)) checkType(where, 'parameter', name, p)
}

function checkType(where: string, what: string, name: string, { dtype }: Tensor): void {
  if (dtype === 'f32') return
  const fix = dtype === 'f16' ? 'Convert it with toFloat.' : 'Leave it out: only f32 is updated.'
  throw shapeError(`${where}: ${what} '${name}' must be f32, got ${dtype}.`, fix)
}

/** Throws unless `given` has exactly the names and shapes of `expected`, and is f32. */
export function checkNames(where: string, what: string, expected: NamedTensors, given: NamedTensors): void {
  if (typeof given !== 'object' || given === null) {
    throw shapeError(`${where}: got ${formatValue(given)}.`, `Pass an object with a ${what} for every parameter.`)
  }
  for (const [name, { shape }] of Object.entries(expected)) {
    const other = given[name]
    if (!other) throw shapeError(`${where}: there is no ${what} '${name}'.`, 'Pass one for every parameter.')
    if (!sameShape(other.shape, shape)) {
      throw shapeError(
        `${where}: ${what} '${name}' has shape ${formatShape(other.shape)}, expected ${formatShape(shape)}.`,
        'Pass one of the same shape.',
      )
    }
    checkType(where, what, name, other)
  }
  for (const name of Object.keys(given)) {
    if (!(name in expected)) {
      throw shapeError(`${where}: ${what} '${name}' is of no known parameter.`, 'Pass the ones it was made for.')
    }
  }
}

/** Copies the elements of `from` over those of `to`, by name. */
export function copyAll(where: string, to: NamedTensors, from: NamedTensors): void {
  checkNames(where, 'tensor', to, from)
  for (const [name, t] of Object.entries(to)) {
    const source = (from[name] as Tensor).buffer
    // A live state may be loaded back, and WebGPU refuses to copy a buffer to itself.
    if (source !== t.buffer) t.device.copy(source, 0, t.buffer, 0, t.size * 4)
  }
}

/** Throws unless there is a gradient for every parameter, in memory of its own. */
export function checkGradients(where: string, parameters: NamedTensors, gradients: NamedTensors): void {
  checkNames(where, 'gradient', parameters, gradients)
  for (const [name, g] of Object.entries(gradients)) {
    if (g.buffer === (parameters[name] as Tensor).buffer) {
      throw new Ld3mError(
        'graph',
        `${where}: gradient '${name}' shares the memory of its parameter.`,
        'Pass a copy: the update writes to the parameter while it reads the gradient.',
      )
    }
  }
}

/** Throws unless low ≤ value < high. */
export function checkRange(where: string, name: string, value: number, low: number, high: number): void {
  if (typeof value === 'number' && value >= low && value < high) return
  const fix = high === Number.POSITIVE_INFINITY ? `Use a number ≥ ${low}.` : `Use a number ≥ ${low} and < ${high}.`
  throw optionError(`${where}: ${name} is ${formatValue(value)}.`, fix)
}
