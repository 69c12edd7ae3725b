import type { Accuracy } from '../accuracy.ts'

/** A fraction in percent with one decimal, without the sign: 0.4567 gives '45.7'. */
export const percent = (fraction: number): string => (fraction * 100).toFixed(1)

/** An accuracy in percent: its mean, '70.2', and how far trainings deviate from it, '± 1.0', which one alone does not tell. */
export const accuracyParts = ({ mean, std, runs }: Accuracy): readonly [mean: string, deviation?: string] =>
  runs.length > 1 ? [percent(mean), `± ${percent(std)}`] : [percent(mean)]

/** A difference of fractions in percentage points, always signed: 0.0123 gives '+1.2', a true minus below zero. */
export function points(difference: number): string {
  const magnitude = percent(Math.abs(difference))
  if (magnitude === '0.0') return '0.0'
  return `${difference < 0 ? '−' : '+'}${magnitude}`
}

/** Seconds as people say them: '0.4 s', '42 s', '3 min 5 s', '2 h 4 min'. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return joined(Math.floor(whole / 60), 'min', whole % 60, 's')
  const minutes = Math.round(seconds / 60)
  return joined(Math.floor(minutes / 60), 'h', minutes % 60, 'min')
}

const joined = (large: number, largeUnit: string, small: number, smallUnit: string) =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`

/** A number to about four digits: '12,345', '0.1235', '1.2e-7'. */
export function shortNumber(value: number): string {
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2)
  const decimals = size >= 1000 || size === 0 ? 0 : 3 - Math.floor(Math.log10(size))
  return value.toLocaleString('en-US', { maximumFractionDigits: decimals })
}
