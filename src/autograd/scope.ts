import { rejectPromise } from './arguments.ts'
import type { Tensor } from './tensor.ts'

const stack: Set<Tensor>[] = []

/** Called by every new tensor. */
export function register(tensor: Tensor): void {
  stack[stack.length - 1]?.add(tensor)
}

/** Called by every disposed tensor. */
export function unregister(tensor: Tensor): void {
  for (const scope of stack) scope.delete(tensor)
}

/**
 * Runs `body` and disposes every tensor created in it, except those in its result (a tensor, or arrays, maps and
 * plain objects of them), which pass to the enclosing scope. Scopes are synchronous: read back outside.
 */
export function scope<T>(body: () => T): T {
  const created = new Set<Tensor>()
  stack.push(created)
  let result: T
  try {
    result = body()
    rejectPromise('scope', result, 'Read tensors back outside of it.')
    for (const tensor of tensorsIn(result)) created.delete(tensor) && stack.at(-2)?.add(tensor)
  } finally {
    stack.pop()
    for (const tensor of created) tensor.dispose()
  }
  return result
}

/** Keeps a tensor beyond every open scope; the caller disposes it. */
export function keep<T extends Tensor>(tensor: T): T {
  unregister(tensor)
  return tensor
}

/** Tensors know themselves by this mark, so that this file need not import the class. */
export const TENSOR: unique symbol = Symbol('tensor')

/** All tensors in a tree of arrays, maps and plain objects. */
export function tensorsIn(value: unknown): Tensor[] {
  const found: Tensor[] = []
  collect(value, found)
  return found
}

function collect(value: unknown, found: Tensor[]): void {
  if (typeof value !== 'object' || value === null) return
  if (TENSOR in value) found.push(value as Tensor)
  else if (value instanceof Map) for (const item of value.values()) collect(item, found)
  else if (Array.isArray(value)) for (let i = 0; i < value.length; i++) collect(value[i], found)
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const item of Object.values(value)) collect(item, found)
  }
}
