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
    super(`${what} ${fix}`, options)
    this.code = code
    this.fix = fix
  }
}

export const shapeError = (what: string, fix: string): Ld3mError => new Ld3mError('shape', what, fix)
export const optionError = (what: string, fix: string): Ld3mError => new Ld3mError('option', what, fix)
export const dataError = (what: string, fix: string, cause?: unknown): Ld3mError =>
  new Ld3mError('data', what, fix, cause === undefined ? undefined : { cause })

/** Throws unless every key of `options` is one of `known`; `where` names the function for the message. */
export function rejectUnknownOptions(where: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      throw optionError(`${where}: unknown option '${key}'.`, `Known options: ${[...known].sort().join(', ')}.`)
    }
  }
}
