/** '1 image', '10 images'. */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`

/** The first `most` of some words, and how many there are besides. */
export const listed = (words: readonly string[], most: number, separator = ', '): string =>
  words.slice(0, most).join(separator) + (words.length > most ? `${separator}and ${words.length - most} more` : '')
