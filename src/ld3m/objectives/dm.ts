import { grad, noGrad, ops, scope, type Tensor } from '../../autograd/index.ts'
import { augment, drawAugmentation } from '../../data/index.ts'
import { rejectUnknownOptions } from '../../errors.ts'
import { initialize, Params } from '../../models/index.ts'
import { atLeastOne } from '../options.ts'
import { MICRO_BATCH, sumOverMicroBatches } from './micro-batches.ts'
import { type MatchingContext, type Objective, statelessMatcher } from './types.ts'

export interface DmOptions {
  /** Real images that go through the network at once, ≥ 1; only their summed features are kept. Default 256. */
  microBatch?: number
}

/**
 * Distribution matching (Zhao & Bilen 2023): a freshly initialised network embeds augmented real and synthetic
 * images; the loss is Σ over classes of ‖mean embedding of real − mean embedding of synthetic‖².
 */
export function dm(options: DmOptions = {}): Objective {
  rejectUnknownOptions('dm', options, ['microBatch'])
  const microBatch = atLeastOne('dm', 'microBatch', options.microBatch ?? MICRO_BATCH)
  return {
    name: 'DM',
    learningRate: { latents: 0.1, pixels: 1 },
    options: { microBatch },
    start: () => statelessMatcher((context) => match(context, microBatch)),
  }
}

function match(
  { device, images, imagesPerClass, classes, realBatch, student, augmentation, random }: MatchingContext,
  microBatch: number,
) {
  const params = new Params(initialize(device, student, { seed: random.integer(2 ** 31) }))
  const leaf = images.leaf()
  const real: Tensor[] = []
  const synthetic: Tensor[] = []
  for (let k = 0; k < classes; k++) {
    // Siamese: one draw a class, for both sides.
    const draw = drawAugmentation(random, {
      strategy: augmentation,
      size: [images.shape[2] as number, images.shape[3] as number],
    })
    const meanFeatures = (part: Tensor, share: number) => {
      const mean = ops.mean(student.features(params, augment(part, draw)), 0, { keepDims: true })
      return [ops.scale(mean, share)]
    }
    real.push(...noGrad(() => scope(() => sumOverMicroBatches(realBatch(k), microBatch, meanFeatures))))
    synthetic.push(augment(ops.slice(leaf, 0, k * imagesPerClass, (k + 1) * imagesPerClass), draw))
  }
  const features = student.features(params, ops.concat(synthetic, 0))
  const means = ops.mean(ops.reshape(features, [classes, imagesPerClass, student.featureCount]), 1)
  const loss = ops.sum(ops.square(ops.sub(means, ops.concat(real, 0))))
  const [gradient] = grad(loss, [leaf]) as [Tensor]
  return { loss, gradient }
}
