/**
 * The word among `known` that was probably meant by `word`, for a message: 'Did you mean x? ', or nothing where none is
 * near. A third of its letters may be wrong, missing or added, three at most; two that changed places count once.
 */
export function didYouMean(word: string, known: readonly string[], show = (name: string) => `'${name}'`): string {
  let nearest: string | undefined
  let least = Math.min(3, Math.max(1, Math.floor(word.length / 3)))
  for (const name of known) {
    const distance = editDistance(word.toLowerCase(), name.toLowerCase())
    if (distance < least || (distance === least && nearest === undefined)) [nearest, least] = [name, distance]
  }
  return nearest === undefined ? '' : `Did you mean ${show(nearest)}? `
}

/** Letters to insert, remove, replace or swap with their neighbours (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let [before, row]: number[][] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next[j] = Math.min(row![j]! + 1, next[j - 1]! + 1, row![j - 1]! + same, swapped ? before![j - 2]! + 1 : Infinity)
    }
    ;[before, row] = [row, next]
  }
  return row![b.length]!
}
