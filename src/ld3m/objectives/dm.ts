import { grad, noGrad, ops, scope, type Tensor } from '../../autograd/index.ts'
import { augment, drawAugmentation } from '../../data/index.ts'
import { initialize, Params } from '../../models/index.ts'
import type { MatchingContext, Objective } from './types.ts'

/** Real images that go through the network at once; their features are all that is kept. */
const MICRO_BATCH = 256

/**
 * Distribution matching (Zhao & Bilen 2023): a freshly initialised network embeds augmented real and synthetic
 * images; the loss is Σ over classes of ‖mean embedding of real − mean embedding of synthetic‖².
 */
export function dm(): Objective {
  return { name: 'DM', learningRate: 0.1, options: {}, match }
}

function match({ device, images, imagesPerClass, classes, realBatch, student, augmentation, random }: MatchingContext) {
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
    real.push(noGrad(() => augment(realBatch(k), draw)))
    synthetic.push(augment(ops.slice(leaf, 0, k * imagesPerClass, (k + 1) * imagesPerClass), draw))
  }
  const meanPerClass = (features: Tensor) => ops.mean(ops.reshape(features, [classes, -1, student.featureCount]), 1)
  const target = noGrad(() => {
    const all = ops.concat(real, 0)
    const n = all.shape[0] as number
    const parts: Tensor[] = []
    for (let i = 0; i < n; i += MICRO_BATCH) {
      parts.push(scope(() => student.features(params, ops.slice(all, 0, i, Math.min(n, i + MICRO_BATCH)))))
    }
    return meanPerClass(ops.concat(parts, 0))
  })
  const loss = ops.sum(ops.square(ops.sub(meanPerClass(student.features(params, ops.concat(synthetic, 0))), target)))
  const [gradient] = grad(loss, [leaf]) as [Tensor]
  return { loss, gradient }
}
