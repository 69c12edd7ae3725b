import { checksum } from '../io/index.ts'
import { studentIdentity } from '../ld3m/index.ts'
import type { Student } from '../models/index.ts'

/** What tells networks of one name apart, short enough to be read. */
export interface NetworkRecord {
  readonly inputShape: readonly number[]
  /** How many numbers. */
  readonly parameters: number
  /** A checksum of their names and shapes. */
  readonly shapes: string
  readonly hyperparameters?: Readonly<Record<string, number>> | undefined
}

export async function networkRecord(student: Student): Promise<NetworkRecord> {
  const { inputShape, parameters, hyperparameters } = studentIdentity(student)
  const sizes = Object.values(parameters).map((shape) => shape.reduce((a, b) => a * b, 1))
  return {
    inputShape,
    parameters: sizes.reduce((a, b) => a + b, 0),
    shapes: await checksum([new TextEncoder().encode(JSON.stringify(parameters))]),
    ...(hyperparameters && { hyperparameters }),
  }
}
