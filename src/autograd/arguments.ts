/** Checks of arguments that are no tensors: callers of JavaScript may pass anything. */
import { formatValue, optionError } from '../errors.ts'
import { Device } from '../gpu/index.ts'

/** Throws unless `device` is one. */
export function expectDevice(where: string, device: unknown): void {
  if (device instanceof Device) return
  throw optionError(`${where}: the device is ${formatValue(device)}.`, 'Pass what openDevice or Device.open gives.')
}

/** Throws unless `list` is an array: tensors, sizes and axes are passed together, in one argument. */
export function expectList(where: string, name: string, list: unknown): void {
  if (!Array.isArray(list)) throw optionError(`${where}: ${name} is ${formatValue(list)}.`, 'Pass an array.')
}

/** Throws unless `value` is a number, and not NaN. */
export function expectNumber(where: string, name: string, value: unknown): void {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Pass a number.')
  }
}

/** Throws unless `value` is a finite number. */
export function expectFinite(where: string, name: string, value: unknown): void {
  if (!Number.isFinite(value)) throw optionError(`${where}: ${name} is ${formatValue(value)}.`, 'Pass a finite number.')
}

/** Throws if a body that must be synchronous waits; what it throws later is of no interest then. */
export function rejectPromise(where: string, result: unknown, fix: string): void {
  if (!(result instanceof Promise)) return
  result.catch(() => undefined)
  throw optionError(`${where}: the body returned a promise.`, fix)
}
