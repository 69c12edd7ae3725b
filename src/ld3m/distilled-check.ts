import { dataError, Ld3mError, shapeError } from '../errors.ts'
import { checkNormalization } from './normalization.ts'
import type { DistilledSet } from './synthetic.ts'

/**
 * Throws unless the parts of a distilled set that other programs train on fit each other.
 * @param where names the function for the message
 * @throws Ld3mError `shape` for sizes, `data` for a label that names no class, `numeric` for a pixel that is not finite, or a normalisation that divides by 0
 */
export function checkDistilledSet(where: string, { images, labels, classNames, normalization }: DistilledSet): void {
  const { shape, data } = images
  const [count, channels] = shape as [number, number]
  const whole = shape.length === 4 && shape.every((size) => Number.isSafeInteger(size) && size > 0)
  if (!whole || data.length !== shape.reduce((n, size) => n * size, 1) || labels.length !== count) {
    throw shapeError(
      `${where}: images of shape [${shape.join(', ')}] do not go with ${data.length} values and ${labels.length} labels.`,
      'Give [M, C, H, W], as many values, and M labels.',
    )
  }
  checkNormalization(where, normalization, channels)
  const foreign = labels.find((label) => !(label >= 0 && label < classNames.length))
  if (foreign !== undefined) {
    throw dataError(`${where}: the label ${foreign} is none of ${classNames.length} classes.`, 'Give a name a class.')
  }
  const bad = data.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0) {
    const image = Math.floor(bad / (data.length / count))
    throw new Ld3mError('numeric', `${where}: image ${image} has the value ${data[bad]}.`, 'Distil again.')
  }
}
