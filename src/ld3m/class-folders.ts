/** Bytes of a name in UTF-8: file systems allow 255, and a number may come before it. */
const MAX_NAME_BYTES = 200

/** Names that Windows keeps for its devices, with any ending. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/**
 * A folder name for each class, which every file system takes. Sorted by code points, as Python sorts, the folders are in the
 * order of the classes, so that torchvision's ImageFolder numbers them alike: where the names would not be, or two of
 * them become the same, all get their label in front (`03 Dress`).
 */
export function classFolders(classNames: readonly string[]): string[] {
  const names = classNames.map(fileName)
  const inOrder = names.every((name, label) => label === 0 || comesAfter(name, names[label - 1]!))
  if (inOrder && areDistinct(names)) return names
  const digits = String(classNames.length - 1).length
  return names.map((name, label) => `${String(label).padStart(digits, '0')} ${name}`)
}

/** Letters, digits and what is harmless; no dot or space at either end, where it would hide a folder or be dropped. */
function fileName(className: string): string {
  const plain = Array.from(className.normalize('NFC'), (character) =>
    /[\p{L}\p{M}\p{N} _.,()'&+-]/u.test(character) ? character : '_',
  )
  const encoder = new TextEncoder()
  while (encoder.encode(plain.join('')).length > MAX_NAME_BYTES) plain.pop()
  const trimmed = plain.join('').replace(/^[. ]+|[. ]+$/g, '')
  return trimmed === '' || RESERVED.test(trimmed) ? `_${trimmed}` : trimmed
}

/** By code points; JavaScript's own order is by UTF-16's units. */
function comesAfter(a: string, b: string): boolean {
  const [left, right] = [Array.from(a), Array.from(b)]
  const differ = left.findIndex((character, i) => character !== right[i])
  if (differ === -1) return false
  return right[differ] === undefined || left[differ]!.codePointAt(0)! > right[differ]!.codePointAt(0)!
}

/** Many file systems do not tell cases apart, and some not an accent from its composition. */
const areDistinct = (names: readonly string[]): boolean =>
  new Set(names.map((name) => name.normalize('NFKC').toLowerCase())).size === names.length
