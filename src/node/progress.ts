/** What a line is written to: `process.stdout`, `process.stderr`, or anything that takes text. */
export interface ProgressStream {
  /** Whether lines can be rewritten. */
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** A line that says how far something is: rewritten in place on a terminal, printed now and then elsewhere. */
export class ProgressLine {
  #lastPrint = Number.NEGATIVE_INFINITY
  #open = false

  constructor(
    readonly stream: ProgressStream = process.stdout,
    /** Seconds between lines where they cannot be rewritten. */
    readonly interval = 5,
  ) {}

  /** @param last print it in any case, and leave it standing */
  update(text: string, last = false): void {
    if (this.stream.isTTY) {
      this.stream.write(`\r\u001b[2K${text}${last ? '\n' : ''}`)
      this.#open = !last
    } else if (last || performance.now() - this.#lastPrint > this.interval * 1000) {
      this.stream.write(`${text}\n`)
      // What comes after the last line is of something else.
      this.#lastPrint = last ? Number.NEGATIVE_INFINITY : performance.now()
    }
  }

  /** Ends a line that stands unfinished, so that other output starts on its own. */
  end(): void {
    if (this.#open) this.stream.write('\n')
    this.#open = false
  }
}

/** "less than 1 s", "12 s", "3 min 05 s" or "1 h 02 min". */
export function formatDuration(seconds: number): string {
  const s = Math.round(seconds)
  if (s === 0 && seconds > 0) return 'less than 1 s'
  if (s < 60) return `${s} s`
  const pad = (n: number) => String(n).padStart(2, '0')
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`
  return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} min`
}

/** A bar of `width` characters, filled to `share` (0…1). */
export function bar(share: number, width = 24): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width)
  return '█'.repeat(full) + '░'.repeat(width - full)
}

/** Bytes with a unit, e.g. "84.2 MB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const unit = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3))
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`
}
