/** Ranges of at most `size` that cover 0…count. */
export const chunksOf = (count: number, size: number): [first: number, end: number][] =>
  Array.from({ length: Math.ceil(count / size) }, (_, i) => [i * size, Math.min(count, (i + 1) * size)])
