import { ops, type Tensor } from '../../autograd/index.ts'

/** Distance of two gradients, each a list with one tensor a parameter; one element, differentiable in the first. */
export type GradientDistance = (synthetic: readonly Tensor[], real: readonly Tensor[]) => Tensor

const EPS = 1e-6

const total = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => ops.add(a, b))
const dot = (a: Tensor, b: Tensor): Tensor => ops.sum(ops.mul(a, b))

export const gradientDistances = {
  /** Rows are [out, everything else]; one-dimensional parameters (biases, norms) do not take part. */
  rows: (synthetic, real) =>
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
  mse: (synthetic, real) => total(synthetic.map((s, i) => ops.sum(ops.square(ops.sub(s, real[i] as Tensor))))),
  cos: (synthetic, real) => {
    const product = total(synthetic.map((s, i) => dot(s, real[i] as Tensor)))
    const norm = (xs: readonly Tensor[]) => ops.sqrt(total(xs.map((x) => dot(x, x))))
    return ops.affine(ops.div(product, ops.add(ops.mul(norm(synthetic), norm(real)), EPS)), -1, 1)
  },
} satisfies Record<string, GradientDistance>
