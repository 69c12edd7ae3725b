// What a run's accuracies follow from, so that those of one evaluation are not mixed with those of another.
import type { AnyDataset } from '../data/index.ts'
import { checksum, differences } from '../io/index.ts'
import {
  type Accuracy,
  type DistilledSet,
  describeProtocol,
  type Evaluation,
  knownNormalization,
} from '../ld3m/index.ts'
import { type NetworkRecord, networkRecord } from './network-record.ts'

/** Test accuracies by architecture: of training on the distilled images, and on as many random real ones. */
export interface AccuracyTable {
  readonly distilled: Readonly<Record<string, Accuracy>>
  readonly randomReal: Readonly<Record<string, Accuracy>>
  /** Of training on the whole dataset, where that was asked for. */
  readonly wholeDataset?: Readonly<Record<string, Accuracy>>
}

export const NO_ACCURACY: AccuracyTable = { distilled: {}, randomReal: {} }

/** Images, as far as a record tells them from others. */
export interface ImagesRecord {
  readonly name: string
  readonly count: number
  readonly [detail: string]: unknown
}

/** How networks were trained and tested, as plain data. */
export interface EvaluationRecord {
  readonly test: ImagesRecord
  /** Where random real images come from. */
  readonly train: ImagesRecord
  readonly seed: number
  /** Options of `evaluate` with their defaults; learning rates by the networks' names. */
  readonly protocol: Readonly<Record<string, unknown>>
  /** By name. */
  readonly networks: Readonly<Record<string, NetworkRecord>>
}

/** @param learned the learning rate that was distilled with the images */
export async function describeEvaluation(
  { test, train, students, seed = 0, ...rest }: Evaluation & { readonly train: AnyDataset },
  { studentLearningRate }: DistilledSet,
): Promise<EvaluationRecord> {
  const { runs: _runs, ...protocol } = rest
  const networks = students.map(async (student) => [student.name, await networkRecord(student)])
  return {
    test: await imagesRecord(test),
    train: await imagesRecord(train),
    seed,
    protocol: describeProtocol(protocol, students, studentLearningRate),
    networks: Object.fromEntries(await Promise.all(networks)),
  }
}

/** What of a dataset can be told without reading its images. */
async function imagesRecord(dataset: AnyDataset): Promise<ImagesRecord> {
  const { name, count, channels, height, width, classNames } = dataset
  const labels = await checksum([Int32Array.from(dataset.labels)])
  const known = knownNormalization(dataset)
  return { name, count, channels, height, width, classNames: [...classNames], labels, ...(known && { ...known }) }
}

/**
 * In what an evaluation differs from an earlier one. Networks that one of them leaves out do not count, nor do statistics of
 * images that are known of one of them alone.
 */
export function evaluationDifferences(before: EvaluationRecord, now: EvaluationRecord): string[] {
  const both = Object.keys(before.networks).filter((name) => name in now.networks)
  const common = ({ networks, protocol, ...rest }: EvaluationRecord) => {
    const { learningRate, ...other } = protocol
    const of = <T>(values: Readonly<Record<string, T>>) => Object.fromEntries(both.map((name) => [name, values[name]]))
    const rates = learningRate as Readonly<Record<string, number>>
    const images = (name: 'test' | 'train') => {
      const known = [before, now].every((record) => 'mean' in record[name])
      const { mean, std, ...told } = rest[name]
      return known ? { ...told, mean, std } : told
    }
    return {
      ...{ seed: rest.seed, test: images('test'), train: images('train') },
      ...{ protocol: { ...other, learningRate: of(rates) }, networks: of(networks) },
    }
  }
  return differences(common(before), JSON.parse(JSON.stringify(common(now))))
}

/** Networks of two evaluations that do not differ. */
export function mergeEvaluations(before: EvaluationRecord, now: EvaluationRecord): EvaluationRecord {
  const learningRate = { ...(before.protocol.learningRate as object), ...(now.protocol.learningRate as object) }
  return { ...now, protocol: { ...now.protocol, learningRate }, networks: { ...before.networks, ...now.networks } }
}
