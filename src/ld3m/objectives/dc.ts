import { grad, ops, scope, type Tensor } from '../../autograd/index.ts'
import { augment, drawAugmentation } from '../../data/index.ts'
import { optionError, rejectUnknownOptions } from '../../errors.ts'
import { Params } from '../../models/index.ts'
import { atLeastOne, positive } from '../options.ts'
import { labelTensor } from '../train-step.ts'
import { checkLoops, type DcLoops, resolveLoops } from './dc-loops.ts'
import { DcNetwork } from './dc-network.ts'
import { type GradientDistance, gradientDistances } from './gradient-distance.ts'
import { MICRO_BATCH, sumOverMicroBatches } from './micro-batches.ts'
import type { Matched, MatchingContext, Objective } from './types.ts'

export interface DcOptions {
  /**
   * Distance of gradients: 'rows', Σ over output rows of 1 − cosine (the original's), 'mse', the sum of squares, or
   * 'cos', one cosine over everything. Default 'rows'.
   */
  distance?: keyof typeof gradientDistances
  /**
   * How many iterations a network serves, and for how many epochs it is trained on the synthetic set between two of
   * them; 'published' for what Zhao et al. used for 1, 10, 20, 30, 40 or 50 images a class. Default one of each, as
   * LD3M: a fresh network every iteration. The originals count an iteration of ours as one of the outer loop.
   */
  loops?: DcLoops | 'published'
  /** Of the SGD that trains the network between iterations. Default 0.01. */
  networkLearningRate?: number
  /** Synthetic images a step of that training, at most. Default 256. */
  networkBatch?: number
  /** Real images whose gradient is taken at once, ≥ 1; the gradients are summed. Default 256. */
  microBatch?: number
}

const KNOWN = ['distance', 'loops', 'networkLearningRate', 'networkBatch', 'microBatch']

/**
 * Gradient matching (Zhao et al. 2021): class by class, the gradient of a network's cross entropy on synthetic images is
 * matched to that on real ones. Differentiates the network's gradient, so second order.
 */
export function dc(options: DcOptions = {}): Objective {
  rejectUnknownOptions('dc', options, KNOWN)
  const { distance = 'rows' } = options
  const loops = checkLoops(options.loops ?? { outer: 1, inner: 1 })
  const ofTraining = (['networkLearningRate', 'networkBatch'] as const).find((name) => options[name] !== undefined)
  if (ofTraining && loops !== 'published' && loops.outer === 1) {
    throw optionError(
      `dc: ${ofTraining} is of no use without loops: no network is trained.`,
      'Leave it out, or give loops.',
    )
  }
  if (!Object.hasOwn(gradientDistances, distance)) {
    throw optionError(`dc: distance is '${distance}'.`, `Use one of ${Object.keys(gradientDistances).join(', ')}.`)
  }
  const learningRate = positive('dc', 'networkLearningRate', options.networkLearningRate ?? 0.01)
  const batch = atLeastOne('dc', 'networkBatch', options.networkBatch ?? 256)
  const microBatch = atLeastOne('dc', 'microBatch', options.microBatch ?? MICRO_BATCH)
  return {
    name: 'DC',
    learningRate: { 'latent-diffusion': 0.1, autoencoder: 0.1, pixel: 1 },
    options: { distance, loops, networkLearningRate: learningRate, networkBatch: batch, microBatch },
    start: ({ device, student, imagesPerClass }) => {
      const schedule = { ...resolveLoops(loops, imagesPerClass), learningRate, batch }
      const network = new DcNetwork(device, student, schedule)
      return {
        match: (context) =>
          network.use(context, (state) => match(context, new Params(state), gradientDistances[distance], microBatch)),
        update: () => network.accept(),
        state: () => network.state,
        restore: (state) => network.restore(state),
        dispose: () => network.dispose(),
      }
    },
  }
}

function match(
  { images, imagesPerClass, classes, realBatch, student, augmentation, random }: MatchingContext,
  params: Params,
  distance: GradientDistance,
  microBatch: number,
): Matched {
  const weights = Object.values(params.state)
  const size: [number, number] = [images.shape[2] as number, images.shape[3] as number]
  const losses: Tensor[] = []
  const gradients: Tensor[] = []
  for (let k = 0; k < classes; k++) {
    const draw = drawAugmentation(random, { strategy: augmentation, size })
    const crossEntropy = (batch: Tensor) => {
      const labels = labelTensor(batch, new Int32Array(batch.shape[0] as number).fill(k))
      return ops.crossEntropy(student.apply(params, augment(batch, draw)), labels)
    }
    const weighted = (part: Tensor, share: number) => grad(ops.scale(crossEntropy(part), share), weights)
    const real = scope(() => sumOverMicroBatches(realBatch(k), microBatch, weighted))
    const leaf = ops.slice(images, 0, k * imagesPerClass, (k + 1) * imagesPerClass).leaf()
    const synthetic = grad(crossEntropy(leaf), weights, { createGraph: true })
    const loss = distance(synthetic, real)
    gradients.push(...grad(loss, [leaf]))
    losses.push(loss.detach())
  }
  return { loss: losses.reduce((a, b) => ops.add(a, b)), gradient: ops.concat(gradients, 0) }
}
