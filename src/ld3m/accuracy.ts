/** Test accuracy of one architecture over several runs, as fractions 0…1. */
export interface Accuracy {
  readonly mean: number
  /** Sample standard deviation; 0 for a single run. */
  readonly std: number
  readonly runs: readonly number[]
}

/** Mean and sample standard deviation. */
export function summarize(runs: readonly number[]): Accuracy {
  const mean = runs.reduce((a, b) => a + b, 0) / runs.length
  const squares = runs.reduce((a, b) => a + (b - mean) ** 2, 0)
  return { mean, std: runs.length > 1 ? Math.sqrt(squares / (runs.length - 1)) : 0, runs: [...runs] }
}
