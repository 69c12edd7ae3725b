/** Dotted names of the values in which two trees of plain data differ. */
export function differences(a: unknown, b: unknown, path = ''): string[] {
  const isObject = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null
  if (!isObject(a) || !isObject(b)) return a === b ? [] : [path]
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].flatMap((key) => differences(a[key], b[key], path === '' ? key : `${path}.${key}`))
}
