import { grad, noGrad, ops, scope, type Tensor } from '../../autograd/index.ts'
import { augment, drawAugmentation } from '../../data/index.ts'
import { rejectUnknownOptions } from '../../errors.ts'
import { initialize, Params } from '../../models/index.ts'
import { chunksOf } from '../chunks.ts'
import { atLeastOne } from '../options.ts'
import { MICRO_BATCH, sumOverMicroBatches } from './micro-batches.ts'
import { type Matched, type MatchingContext, type Objective, statelessMatcher } from './types.ts'

export interface DmOptions {
  /**
   * Images that go through the network at once, ≥ 1: real ones, of which only the summed features are kept, and synthetic
   * ones of whole classes, at least of one. Default 256.
   */
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
    learningRate: { 'latent-diffusion': 0.1, autoencoder: 0.1, pixel: 1 },
    options: { microBatch },
    start: () => statelessMatcher((context) => match(context, microBatch)),
  }
}

function match(context: MatchingContext, microBatch: number): Matched {
  const { device, imagesPerClass, classes, student, random } = context
  const params = new Params(initialize(device, student, { seed: random.integer(2 ** 31) }))
  // The loss is a sum over classes: those whose synthetic images go through the network together are a part of it.
  const together = Math.max(1, Math.floor(microBatch / imagesPerClass))
  const parts = chunksOf(classes, together).map((range) =>
    scope(() => matchClasses(context, params, range, microBatch)),
  )
  return {
    loss: parts.map(({ loss }) => loss).reduce((a, b) => ops.add(a, b)),
    gradient: ops.concat(
      parts.map(({ gradient }) => gradient),
      0,
    ),
  }
}

/** The part of the loss that is of classes `first` to `end` − 1, and its gradient. */
function matchClasses(
  { images, imagesPerClass, realBatch, student, augmentation, random }: MatchingContext,
  params: Params,
  [first, end]: readonly [number, number],
  microBatch: number,
): Matched {
  const leaf = ops.slice(images, 0, first * imagesPerClass, end * imagesPerClass).leaf()
  const real: Tensor[] = []
  const synthetic: Tensor[] = []
  for (let k = first; k < end; k++) {
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
    const own = (k - first) * imagesPerClass
    synthetic.push(augment(ops.slice(leaf, 0, own, own + imagesPerClass), draw))
  }
  const features = student.features(params, ops.concat(synthetic, 0))
  const means = ops.mean(ops.reshape(features, [end - first, imagesPerClass, student.featureCount]), 1)
  const loss = ops.sum(ops.square(ops.sub(means, ops.concat(real, 0))))
  const [gradient] = grad(loss, [leaf]) as [Tensor]
  return { loss: loss.detach(), gradient }
}
