import type { Dataset } from '../../src/data/index.ts'
import type { DistilledSet } from '../../src/ld3m/index.ts'
import { uniform } from './checks.ts'

/** A set of random images, with as many of each class. */
export function randomSet(
  classNames: readonly string[],
  perClass = 1,
  [channels, height, width] = [1, 4, 3],
): DistilledSet {
  const random = uniform(5)
  const count = classNames.length * perClass
  const shape = [count, channels!, height!, width!]
  const data = Float32Array.from({ length: count * channels! * height! * width! }, random)
  return {
    ...{ images: { shape, data }, initialImages: { shape, data }, classNames, loss: [2, 1] },
    labels: Int32Array.from({ length: count }, (_, i) => Math.floor(i / perClass)),
    normalization: { mean: new Array(channels).fill(0.25), std: new Array(channels).fill(0.5) },
  }
}

/** The first real images of each class in place of distilled ones. */
export function realSet(
  dataset: Dataset,
  perClass: number,
  normalization: DistilledSet['normalization'],
): DistilledSet {
  const { channels, height, width, classNames } = dataset
  const size = channels * height * width
  const chosen = classNames.flatMap((_, label) => {
    const own = [...dataset.labels.keys()].filter((i) => dataset.labels[i] === label)
    return own.slice(0, perClass)
  })
  const data = new Float32Array(chosen.length * size)
  for (const [k, i] of chosen.entries()) {
    data.set(
      Float32Array.from(dataset.images.subarray(i * size, (i + 1) * size), (byte) => byte / 255),
      k * size,
    )
  }
  const images = { shape: [chosen.length, channels, height, width], data }
  const labels = Int32Array.from(chosen, (i) => dataset.labels[i]!)
  return { images, initialImages: images, labels, classNames, normalization, loss: [] }
}
