import { formatValue, optionError } from '../errors.ts'

/** Throws unless each of `values` is an integer of at least 1. */
export function positiveIntegers(where: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (!Number.isInteger(value) || (value as number) < 1) {
      const came = formatValue(value)
      throw optionError(`${where}: ${name} must be an integer of at least 1, got ${came}.`, 'Correct the option.')
    }
  }
}

/** Throws unless `values` is a list of integers of at least 1, and not empty. */
export function positiveIntegerList(where: string, name: string, values: unknown): asserts values is readonly number[] {
  if (!Array.isArray(values) || values.length === 0) {
    throw optionError(
      `${where}: ${name} must be a list that is not empty, got ${JSON.stringify(values)}.`,
      'Correct it.',
    )
  }
  for (const [i, value] of values.entries()) positiveIntegers(where, { [`${name}[${i}]`]: value })
}

/** Throws unless the widths of all levels divide into groups and heads. */
export function checkLevelWidths(
  where: string,
  widths: readonly number[],
  parts: Readonly<Record<string, number>>,
): void {
  for (const width of widths) {
    for (const [name, count] of Object.entries(parts)) {
      if (width % count !== 0) {
        throw optionError(
          `${where}: a level of ${width} channels does not divide into ${count} ${name}.`,
          `Change the widths or the number of ${name}.`,
        )
      }
    }
  }
}
