/** Longest spelling of a value. */
const WIDTH = 40

/** The values in which two trees of plain data differ: the dotted name of each, with what it was and what it is. */
export function differences(before: unknown, now: unknown, path = ''): string[] {
  if (!isTree(before) || !isTree(now)) {
    return spell(before) === spell(now) ? [] : [`${path} (${clip(spell(before))} before, ${clip(spell(now))} now)`]
  }
  const keys = new Set([...Object.keys(before), ...Object.keys(now)])
  return [...keys].flatMap((key) => differences(before[key], now[key], path === '' ? key : `${path}.${key}`))
}

/** Whether a value has names below it; lists are compared as a whole. */
const isTree = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x)

const spell = (value: unknown): string => JSON.stringify(value) ?? 'none'

const clip = (text: string): string => (text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text)
