import type { AnyDataset } from '../data/index.ts'
import { shapeError } from '../errors.ts'
import type { Student } from '../models/index.ts'

/**
 * Throws unless a student takes the dataset's images and can tell all of its classes apart: a label that it has no output
 * for would make its loss NaN.
 * @param where names the function for the message
 * @throws Ld3mError `shape`
 */
export function checkStudent(
  where: string,
  { name, inputShape, classes }: Student,
  { channels, height, width, classNames }: AnyDataset,
): void {
  const fix = "Make the student with the dataset's channels, size and number of classes."
  const shape = [channels, height, width]
  if (`${inputShape}` !== `${shape}`) {
    throw shapeError(
      `${where}: ${name} takes images of ${inputShape.join('×')}; the dataset has ${shape.join('×')}.`,
      fix,
    )
  }
  if (classes < classNames.length) {
    throw shapeError(`${where}: ${name} has ${classes} outputs; the dataset has ${classNames.length} classes.`, fix)
  }
}
