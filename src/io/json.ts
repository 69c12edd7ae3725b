/**
 * The first key that one object of a JSON text holds twice, if any: `JSON.parse` keeps the last of them in silence.
 * `text` must already have passed `JSON.parse`, so that strings are the only place where brackets can hide.
 */
export function findDuplicateKey(text: string): string | undefined {
  const open: Set<string>[] = []
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{') open.push(new Set())
    else if (character === '}') open.pop()
    else if (character === '"') {
      const start = at++
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
      if (!isFollowedByColon(text, at + 1)) continue
      const key = JSON.parse(text.slice(start, at + 1)) as string
      const keys = open.at(-1)!
      if (keys.has(key)) return key
      keys.add(key)
    }
  }
  return undefined
}

function isFollowedByColon(text: string, at: number): boolean {
  while (' \t\n\r'.includes(text[at] ?? '.')) at++
  return text[at] === ':'
}

/** True for a JSON object: neither an array nor null. */
export const isJsonObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
