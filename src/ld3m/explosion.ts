/** A loss so many times the first one is that of a run that went astray: losses of random networks differ far less. */
const EXPLOSION = 1e6

/** Whether a loss is that of a run that went astray: not finite, or more than a million times the first one. */
export const hasExploded = (loss: number, first: number): boolean =>
  !Number.isFinite(loss) || (first > 0 && loss > EXPLOSION * first)

/** What became of a value, for messages: "became 3e+20 from 0.7 at first". */
export const whatBecame = (value: number, first: number): string =>
  `became ${value}${Number.isFinite(value) ? ` from ${first} at first` : ''}`
