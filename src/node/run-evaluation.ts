// What a run's accuracies follow from, so that those of one evaluation are not mixed with those of another.
import { differences } from '../io/index.ts'
import {
  type Accuracy,
  type DistilledSet,
  describeProtocol,
  type Evaluation,
  type StudentIdentity,
  studentIdentity,
} from '../ld3m/index.ts'

/** Test accuracies by architecture: of training on the distilled images, and on as many random real ones. */
export interface AccuracyTable {
  readonly distilled: Readonly<Record<string, Accuracy>>
  readonly randomReal: Readonly<Record<string, Accuracy>>
  /** Of training on the whole dataset, where that was asked for. */
  readonly wholeDataset?: Readonly<Record<string, Accuracy>>
}

export const NO_ACCURACY: AccuracyTable = { distilled: {}, randomReal: {} }

/** How networks were trained and tested, as plain data. */
export interface EvaluationRecord {
  readonly test: { readonly name: string; readonly count: number }
  /** Where random real images come from. */
  readonly train: { readonly name: string; readonly count: number }
  readonly seed: number
  /** Options of `evaluate` with their defaults; learning rates by the networks' names. */
  readonly protocol: Readonly<Record<string, unknown>>
  readonly networks: Readonly<Record<string, Omit<StudentIdentity, 'name' | 'parameters'> & { parameters: number }>>
}

/** @param learned the learning rate that was distilled with the images */
export function describeEvaluation(
  { test, train, students, seed = 0, ...rest }: Evaluation & { readonly train: EvaluationRecord['train'] },
  { studentLearningRate }: DistilledSet,
): EvaluationRecord {
  const { runs: _runs, ...protocol } = rest
  return {
    test: { name: test.name, count: test.count },
    train: { name: train.name, count: train.count },
    seed,
    protocol: describeProtocol(protocol, students, studentLearningRate),
    networks: Object.fromEntries(
      students.map((student) => {
        const { name, parameters, ...identity } = studentIdentity(student)
        const count = Object.values(parameters).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0)
        return [name, { ...identity, parameters: count }]
      }),
    ),
  }
}

/** In what an evaluation differs from an earlier one; networks that one of them leaves out do not count. */
export function evaluationDifferences(before: EvaluationRecord, now: EvaluationRecord): string[] {
  const both = Object.keys(before.networks).filter((name) => name in now.networks)
  const common = ({ networks, protocol, ...rest }: EvaluationRecord) => {
    const { learningRate, ...other } = protocol
    const of = <T>(values: Readonly<Record<string, T>>) => Object.fromEntries(both.map((name) => [name, values[name]]))
    const rates = learningRate as Readonly<Record<string, number>>
    return { ...rest, protocol: { ...other, learningRate: of(rates) }, networks: of(networks) }
  }
  return differences(common(before), JSON.parse(JSON.stringify(common(now))))
}

/** Networks of two evaluations that do not differ. */
export function mergeEvaluations(before: EvaluationRecord, now: EvaluationRecord): EvaluationRecord {
  const learningRate = { ...(before.protocol.learningRate as object), ...(now.protocol.learningRate as object) }
  return { ...now, protocol: { ...now.protocol, learningRate }, networks: { ...before.networks, ...now.networks } }
}
