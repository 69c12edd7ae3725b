import type { AnyDataset } from '../data/index.ts'
import { checksum } from '../io/index.ts'
import type { Student } from '../models/index.ts'
import { parameterShapes } from './experts/index.ts'
import type { Normalization } from './normalization.ts'

/** Plain data that tells datasets of the same images from others; names of files do not count. */
export const datasetIdentity = async (
  { labels, channels, height, width, classNames }: AnyDataset,
  normalization: Normalization,
  /** Of the initial images, where they are real. */
  initial: Float32Array | undefined,
): Promise<Readonly<Record<string, unknown>>> => ({
  ...{ count: labels.length, channels, height, width, classNames, normalization },
  labels: await checksum([labels]),
  ...(initial && { initialImages: await checksum([initial]) }),
})

/** Plain data that tells networks apart. */
export const studentIdentity = (student: Student): Readonly<Record<string, unknown>> => ({
  ...{ name: student.name, inputShape: student.inputShape, parameters: parameterShapes(student) },
})
