import { didYouMean } from './did-you-mean.ts'

/** What kind of mistake an error reports; stable across releases, so that callers can switch on it. */
export type ErrorCode =
  | 'adapter' // no usable GPU adapter, or the device was lost
  | 'shape' // a tensor's shape or dtype does not fit
  | 'option' // an option is unknown or out of range
  | 'data' // a file is truncated, foreign or inconsistent
  | 'numeric' // NaN or infinity where a number was needed
  | 'memory' // a buffer exceeds what the adapter can bind or hold
  | 'graph' // a gradient was asked of a graph that cannot give it
  | 'aborted' // the caller's AbortSignal fired

/**
 * Every error this library throws on purpose: `code` says what kind, `message` what was expected and what came,
 * and `fix` what to do about it (also appended to the message).
 */
export class Ld3mError extends Error {
  override readonly name = 'Ld3mError'
  readonly code: ErrorCode
  readonly fix: string

  constructor(code: ErrorCode, what: string, fix: string, options?: { cause?: unknown }) {
    super(`${what}${what.endsWith('\n') ? '' : ' '}${fix}`, options)
    this.code = code
    this.fix = fix
  }
}

export const shapeError = (what: string, fix: string): Ld3mError => new Ld3mError('shape', what, fix)
export const optionError = (what: string, fix: string): Ld3mError => new Ld3mError('option', what, fix)
export const dataError = (what: string, fix: string, cause?: unknown): Ld3mError =>
  new Ld3mError('data', what, fix, cause === undefined ? undefined : { cause })

/** How a message shows a value that came: a text in quotes, so that '3' is not taken for 3. */
export function formatValue(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  if (value instanceof Promise) return 'a promise (await it)'
  if (ArrayBuffer.isView(value)) return `of type ${value.constructor.name}`
  return Array.isArray(value) ? 'an array' : 'an object'
}

/**
 * Throws unless `options` is an object and every key of it one of `known`; `where` names the function for the message.
 * Callers of JavaScript may pass anything.
 */
export function rejectUnknownOptions(where: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw optionError(
      `${where}: its options are ${formatValue(options)}.`,
      `Pass an object; known options: ${[...known].sort().join(', ')}.`,
    )
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw optionError(
        `${where}: unknown option '${key}'.`,
        `${didYouMean(key, known)}Known options: ${[...known].sort().join(', ')}.`,
      )
    }
  }
}

/** Throws unless each of `values` is true or false, or left out. */
export function rejectNonBooleans(where: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && typeof value !== 'boolean') {
      throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Use true or false.')
    }
  }
}

/** The options that are given: one that is undefined is left out, so that a default can take its place. */
export const givenOptions = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

/** The height and width that `size` says, one number for both or [height, width]. Throws unless they are whole and ≥ 1. */
export function sidesOf(where: string, size: unknown): readonly [height: number, width: number] {
  const sides = Array.isArray(size) ? size : [size, size]
  if (sides.length === 2 && sides.every((side) => Number.isSafeInteger(side) && side >= 1)) {
    return sides as [number, number]
  }
  const came = Array.isArray(size) ? `[${size.map(formatValue).join(', ')}]` : formatValue(size)
  throw optionError(
    `${where}: size is ${came}.`,
    'Give whole numbers of pixels ≥ 1: one for both sides, or [height, width].',
  )
}
