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
      const start = at
      at = stringEnd(text, start)
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

/** How deep the brackets of a text nest, and how many open, before it is known to be JSON: what parsing it would cost. */
export function jsonStructure(text: string): { depth: number; brackets: number } {
  let [level, depth, brackets] = [0, 0, 0]
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (character === '{' || character === '[') {
      brackets++
      depth = Math.max(depth, ++level)
    } else if (character === '}' || character === ']') level--
    else if (character === '"') at = stringEnd(text, at)
  }
  return { depth, brackets }
}

/** The place of the quote that ends the string which begins at `start`, or a place after the text. */
function stringEnd(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}

/** True for a JSON object: neither an array nor null. */
export const isJsonObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
