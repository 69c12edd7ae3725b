import type { HostRandom } from '../../autograd/index.ts'
import { type Augmentation, type AugmentationStrategy, drawAugmentation } from '../../data/index.ts'

/** What one step of an unrolled student trains on. */
export interface StudentStep {
  /** Which synthetic images, all different; undefined: all of them, in their own order. */
  readonly indices: Int32Array<ArrayBuffer> | undefined
  /** Class of each image of the step. */
  readonly labels: Int32Array<ArrayBuffer>
  /** Augmentation, with parameters for each image of the step. */
  readonly draw: Augmentation
}

export interface StepsOptions {
  readonly count: number
  /** Images a step, at most. */
  readonly batch: number
  /** Class of each synthetic image. */
  readonly labels: Int32Array
  readonly strategy: AugmentationStrategy
  /** Height and width of the images. */
  readonly size: readonly [number, number]
}

/**
 * Draws the steps of an unrolled student: mini-batches walk through a random permutation of the synthetic set, then
 * through a new one; the last of a permutation is smaller where it does not divide.
 */
export function drawSteps(random: HostRandom, { count, batch, labels, strategy, size }: StepsOptions): StudentStep[] {
  const images = labels.length
  let order = new Int32Array()
  return Array.from({ length: count }, () => {
    if (batch >= images) {
      return { indices: undefined, labels: Int32Array.from(labels), draw: drawStep(images) }
    }
    if (order.length === 0) order = random.shuffle(images)
    const indices = order.slice(0, batch)
    order = order.slice(batch)
    return { indices, labels: indices.map((i) => labels[i] as number), draw: drawStep(indices.length) }
  })

  function drawStep(n: number): Augmentation {
    return drawAugmentation(random, { strategy, size, count: n })
  }
}
