import { formatValue, optionError } from '../errors.ts'

/** `value`, or an error that names `where` and the option unless it is an integer ≥ 1. */
export function atLeastOne(where: string, name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1)
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Use an integer ≥ 1.')
  return value
}

/** `value`, or an error unless it is finite and > 0. */
export function positive(where: string, name: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value)))
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Use a number > 0.')
  return value
}

/** `value`, or an error unless it is finite and ≥ 0. */
export function atLeastZero(where: string, name: string, value: number): number {
  if (!(value >= 0 && Number.isFinite(value)))
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Use a number ≥ 0.')
  return value
}

/** `value`, or an error unless it is a number from 0 to 1, or below 1. */
export function share(where: string, name: string, value: number, most: '≤ 1' | '< 1' = '≤ 1'): number {
  if (!(typeof value === 'number' && value >= 0 && (most === '≤ 1' ? value <= 1 : value < 1)))
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, `Use a number ≥ 0 and ${most}.`)
  return value
}

/** `value`, or an error unless it is one of `known`. */
export function oneOf<T extends string>(where: string, name: string, value: T, known: readonly T[]): T {
  if (!known.includes(value))
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, `Use one of ${known.join(', ')}.`)
  return value
}

/** `value`, or an error unless it is an integer that a Philox key can hold, 0 to 2³² − 1. */
export function seedOf(where: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
    throw optionError(`${where}: seed is ${formatValue(value)}.`, 'Use an integer from 0 to 4294967295.')
  }
  return value
}
