/** Where values of one axis stand in pixels, and the ticks that it shows. */
export interface Scale {
  readonly at: (value: number) => number
  readonly ticks: readonly { readonly at: number; readonly label: string }[]
}

/**
 * A linear scale from `low` to `high`, which may be equal, over the pixels from `start` to `end`.
 * @param fit 'ticks' widens the range to whole ticks, 'data' ends it where the data ends
 * @param leastStep between ticks; 1 for counts
 */
export function linearScale(
  [low, high]: readonly [number, number],
  [start, end]: readonly [number, number],
  { ticks, fit, leastStep = 0 }: { ticks: number; fit: 'ticks' | 'data'; leastStep?: number },
): Scale {
  const margin = low === high ? Math.abs(low) / 10 || 1 : 0
  const step = niceStep(Math.max(leastStep, (high - low + 2 * margin) / ticks))
  let [first, last] = [Math.floor((low - margin) / step), Math.ceil((high + margin) / step)]
  let [from, to] = [first * step, last * step]
  if (fit === 'data') {
    ;[from, to] = [low - margin, high + margin]
    ;[first, last] = [Math.ceil(from / step), Math.floor(to / step)]
  }
  const at = (value: number) => start + ((value - from) / (to - from)) * (end - start)
  const values = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step)
  return { at, ticks: values.map((value) => ({ at: at(value), label: tickLabel(value, step) })) }
}

/** A logarithmic scale over positive values, widened to whole ticks. */
export function logScale([low, high]: readonly [number, number], [start, end]: readonly [number, number]): Scale {
  const multiples = high / low > 100 ? [1] : [1, 2, 5]
  const candidates: number[] = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const multiple of multiples) candidates.push(multiple * 10 ** power)
  }
  const first = candidates.findLastIndex((value) => value <= low)
  const last = candidates.findIndex((value) => value >= high)
  const values = candidates.slice(Math.max(0, first), last < 0 ? undefined : last + 1)
  const [from, to] = [Math.log(values[0]!), Math.log(values.at(-1)!)]
  const at = (value: number) => start + ((Math.log(value) - from) / (to - from)) * (end - start)
  return { at, ticks: values.map((value) => ({ at: at(value), label: tickLabel(value, value) })) }
}

/** The smallest of 1, 2 and 5 times a power of ten that is at least `step`. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step))
  return power * [1, 2, 5, 10].find((multiple) => multiple * power >= step * 0.999)!
}

function tickLabel(value: number, step: number): string {
  if (value === 0) return '0'
  if (step < 1e-4 || Math.abs(value) >= 1e6) {
    // As many digits as tell neighbours apart.
    const digits = Math.max(0, powerOf(Math.abs(value)) - powerOf(step))
    return value.toExponential(digits).replace(/\.0+e/, 'e').replace('e+', 'e')
  }
  const decimals = Math.max(0, -powerOf(step))
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
}

/** The power of ten of the first digit; rounding may leave a value just below it. */
const powerOf = (value: number): number => Math.floor(Math.log10(value) + 1e-9)
