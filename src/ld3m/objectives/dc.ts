import { grad, ops, scope, type Tensor, tensor } from '../../autograd/index.ts'
import { augment, drawAugmentation } from '../../data/index.ts'
import { optionError, rejectUnknownOptions } from '../../errors.ts'
import { initialize, Params } from '../../models/index.ts'
import type { MatchingContext, Objective } from './types.ts'

export interface DcOptions {
  /**
   * Distance of gradients: 'rows', Σ over output rows of 1 − cosine (the original's), 'mse', the sum of squares, or
   * 'cos', one cosine over everything. Default 'rows'.
   */
  distance?: 'rows' | 'mse' | 'cos'
}

/**
 * Gradient matching (Zhao et al. 2021): class by class, the gradient of a freshly initialised network's cross entropy
 * on synthetic images is matched to that on real ones. Differentiates the network's gradient, so second order.
 */
export function dc(options: DcOptions = {}): Objective {
  rejectUnknownOptions('dc', options, ['distance'])
  const { distance = 'rows' } = options
  if (!(distance in distances)) {
    throw optionError(`dc: distance is '${distance}'.`, `Use one of ${Object.keys(distances).join(', ')}.`)
  }
  return {
    name: 'DC',
    learningRate: 0.1,
    options: { distance },
    match: (context) => match(context, distances[distance]),
  }
}

function match(
  { device, images, imagesPerClass, classes, realBatch, student, augmentation, random }: MatchingContext,
  distance: (synthetic: readonly Tensor[], real: readonly Tensor[]) => Tensor,
) {
  const state = initialize(device, student, { seed: random.integer(2 ** 31) })
  const params = new Params(state)
  const weights = Object.values(state)
  const size: [number, number] = [images.shape[2] as number, images.shape[3] as number]
  const losses: Tensor[] = []
  const gradients: Tensor[] = []
  for (let k = 0; k < classes; k++) {
    const draw = drawAugmentation(random, { strategy: augmentation, size })
    const crossEntropy = (batch: Tensor) => {
      const labels = tensor(device, new Int32Array(batch.shape[0] as number).fill(k))
      return ops.crossEntropy(student.apply(params, augment(batch, draw)), labels)
    }
    const real = scope(() => grad(crossEntropy(realBatch(k)), weights))
    const leaf = ops.slice(images, 0, k * imagesPerClass, (k + 1) * imagesPerClass).leaf()
    const synthetic = grad(crossEntropy(leaf), weights, { createGraph: true })
    const loss = distance(synthetic, real)
    gradients.push(...grad(loss, [leaf]))
    losses.push(loss.detach())
  }
  return { loss: losses.reduce((a, b) => ops.add(a, b)), gradient: ops.concat(gradients, 0) }
}

const total = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => ops.add(a, b))
const dot = (a: Tensor, b: Tensor): Tensor => ops.sum(ops.mul(a, b))
const EPS = 1e-6

const distances = {
  /** Rows are [out, everything else]; one-dimensional parameters (biases, norms) do not take part. */
  rows: (synthetic: readonly Tensor[], real: readonly Tensor[]): Tensor =>
    total(
      synthetic.flatMap((s, i) => {
        const r = real[i] as Tensor
        if (s.rank < 2) return []
        const rows = (x: Tensor) => ops.reshape(x, [x.shape[0] as number, -1])
        const [a, b] = [rows(s), rows(r)]
        // A row without a gradient (a dead unit) has no direction: the tiny offset keeps √ differentiable there.
        const norm = (x: Tensor) => ops.sqrt(ops.add(ops.sum(ops.square(x), 1), 1e-20))
        const cosine = ops.div(ops.sum(ops.mul(a, b), 1), ops.add(ops.mul(norm(a), norm(b)), EPS))
        return [ops.sum(ops.affine(cosine, -1, 1))]
      }),
    ),
  mse: (synthetic: readonly Tensor[], real: readonly Tensor[]): Tensor =>
    total(synthetic.map((s, i) => ops.sum(ops.square(ops.sub(s, real[i] as Tensor))))),
  cos: (synthetic: readonly Tensor[], real: readonly Tensor[]): Tensor => {
    const product = total(synthetic.map((s, i) => dot(s, real[i] as Tensor)))
    const norm = (xs: readonly Tensor[]) => ops.sqrt(total(xs.map((x) => dot(x, x))))
    return ops.affine(ops.div(product, ops.add(ops.mul(norm(synthetic), norm(real)), EPS)), -1, 1)
  },
}
