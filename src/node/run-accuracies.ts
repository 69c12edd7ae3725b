import { summarize } from '../ld3m/index.ts'
import { listed } from '../words.ts'
import {
  type AccuracyTable,
  type EvaluationRecord,
  evaluationDifferences,
  mergeEvaluations,
  NO_ACCURACY,
} from './run-evaluation.ts'

/** What `metrics.json` says of accuracies. */
export interface RecordedAccuracies {
  readonly accuracy: AccuracyTable
  /** How the networks were trained and tested; missing where none were. */
  readonly evaluation?: EvaluationRecord
  /** What other evaluations came to, the earliest first. */
  readonly earlier?: readonly { readonly accuracy: AccuracyTable; readonly evaluation?: EvaluationRecord }[]
}

/** What networks learned from a run's set, training by training, so that none is done twice and none is lost. */
export class RunAccuracies {
  #recorded: RecordedAccuracies

  constructor(recorded: RecordedAccuracies = { accuracy: NO_ACCURACY }) {
    this.#recorded = recorded
  }

  get recorded(): RecordedAccuracies {
    return this.#recorded
  }

  /**
   * Goes on with the accuracies that are there, if they are of such an evaluation, or puts them aside.
   * @returns what to tell of accuracies that were put aside
   */
  begin(now: EvaluationRecord): string | undefined {
    const { accuracy, evaluation: before, earlier = [] } = this.#recorded
    const differing = before ? evaluationDifferences(before, now) : []
    if (before && differing.length === 0) {
      this.#recorded = { ...this.#recorded, evaluation: mergeEvaluations(before, now) }
      return undefined
    }
    // Of an evaluation that another one came between.
    const again = earlier.findIndex(
      ({ evaluation }) => evaluation && evaluationDifferences(evaluation, now).length === 0,
    )
    const found = earlier[again]
    const isEmpty = Object.values(accuracy).every((rows) => Object.keys(rows).length === 0)
    const aside = isEmpty ? [] : [{ accuracy, ...(before && { evaluation: before }) }]
    this.#recorded = {
      accuracy: found?.accuracy ?? NO_ACCURACY,
      evaluation: found?.evaluation ? mergeEvaluations(found.evaluation, now) : now,
      earlier: [...earlier.filter((_, i) => i !== again), ...aside],
    }
    if (isEmpty) return undefined
    const how = differing.length > 0 ? `: ${listed(differing, 3)}` : ''
    return `Accuracies that were here are of another evaluation${how}. metrics.json keeps them as 'earlier'.`
  }

  /** Accuracies of the trainings that were done, by the networks' names: the option `resume` of `evaluate`. */
  trainings(key: keyof AccuracyTable): Readonly<Record<string, readonly number[]>> {
    const rows = this.#recorded.accuracy[key] ?? {}
    return Object.fromEntries(Object.entries(rows).map(([name, { runs }]) => [name, runs]))
  }

  /** Takes down what a network learned in its next training. */
  add(key: keyof AccuracyTable, student: string, value: number): void {
    const { accuracy } = this.#recorded
    const runs = [...(accuracy[key]?.[student]?.runs ?? []), value]
    const rows = { ...accuracy[key], [student]: summarize(runs) }
    this.#recorded = { ...this.#recorded, accuracy: { ...accuracy, [key]: rows } }
  }
}
