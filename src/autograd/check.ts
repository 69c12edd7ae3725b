import { Ld3mError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import { expectList } from './arguments.ts'
import { grad } from './grad.ts'
import { add, mul } from './ops/arithmetic.ts'
import { sum } from './ops/sum.ts'
import { HostRandom } from './philox.ts'
import { scope } from './scope.ts'
import { formatShape, type Shape, sizeOf } from './shape.ts'
import { expectResult, expectTensors, type Tensor, tensor } from './tensor.ts'

type TensorFunction = (...xs: Tensor[]) => Tensor

export interface CheckGradsOptions {
  /** Check gradients up to this order. Default 2. */
  order?: number
  /**
   * Half the step of the central difference, along a direction with elements in [−1, 1). Default 1e-2: results are f32,
   * so that smaller steps measure rounding, and larger ones curvature.
   */
  eps?: number
  /** Largest error accepted, as a part of the slope or of its typical size along such directions. Default 1e-2. */
  tolerance?: number
  /** Of the random directions. Default 0. */
  seed?: number
}

/**
 * Checks the gradients of a function of f32 tensors against central differences, along one random direction an order
 * (as JAX's check_grads does): with L(x) = ⟨w, f(x)⟩ for a random w, ⟨∇L, v⟩ against (L(x + εv) − L(x − εv))/2ε, then
 * the same for x ↦ ⟨∇L(x), v⟩. `f` must be smooth near `xs` (no kink within `eps`) and give the same result each time.
 * @param xs the point to check at; its values are copied
 * @throws Ld3mError `numeric` if they disagree, with both numbers
 */
export async function checkGrads(
  f: TensorFunction,
  xs: readonly Tensor[],
  options: CheckGradsOptions = {},
): Promise<void> {
  rejectUnknownOptions('checkGrads', options, ['order', 'eps', 'tolerance', 'seed'])
  const { order = 2, eps = 1e-2, tolerance = 1e-2, seed = 0 } = options
  if (!Number.isInteger(order) || order < 1) throw optionError(`checkGrads: order is ${order}.`, 'Use an integer ≥ 1.')
  if (!(eps > 0)) throw optionError(`checkGrads: eps is ${eps}.`, 'Use a number above 0.')
  if (!(tolerance > 0)) throw optionError(`checkGrads: tolerance is ${tolerance}.`, 'Use a number above 0.')
  expectList('checkGrads', 'xs', xs)
  expectTensors('checkGrads', xs)
  xs.forEach((x, i) => {
    if (x.dtype !== 'f32') {
      throw shapeError(`checkGrads: input ${i} is ${x.dtype}.`, 'Only f32 has gradients: let f close over it.')
    }
  })
  if (xs.length === 0) throw shapeError('checkGrads: the list of inputs is empty.', 'Pass at least one.')
  const random = new HostRandom({ seed, stream: 0 })
  const points: Point[] = []
  for (const x of xs) points.push({ shape: x.shape, data: await x.read() })
  let level: TensorFunction = f
  for (let n = 1; n <= order; n++) {
    const v = points.map((p) => directionLike(p.shape, random))
    const w = await checkSlope(level, xs, points, v, random, n, eps, tolerance)
    level = slopeOf(level, v, w)
  }
}

interface Point {
  readonly shape: Shape
  readonly data: Float32Array<ArrayBuffer>
}

const directionLike = (shape: Shape, random: HostRandom): Point => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * random.uniform() - 1),
})

/** x ↦ ⟨∇⟨w, f(x)⟩, v⟩, to be differentiated further. */
const slopeOf =
  (f: TensorFunction, v: readonly Point[], w: Point): TensorFunction =>
  (...xs) => {
    const inputs = xs.map((x) => (x.requiresGrad ? x : x.leaf()))
    const y = expectResult('checkGrads', f(...inputs))
    const gradOutput = tensor(y.device, w.data, { shape: w.shape })
    return grad(y, inputs, { gradOutput, createGraph: true, allowUnused: true })
      .map((g, i) => sum(mul(g, tensor(g.device, (v[i] as Point).data, { shape: g.shape }))))
      .reduce((a, b) => add(a, b))
  }

/** Checks one order along v, and returns the w that it drew. */
async function checkSlope(
  f: TensorFunction,
  xs: readonly Tensor[],
  points: readonly Point[],
  v: readonly Point[],
  random: HostRandom,
  order: number,
  eps: number,
  tolerance: number,
): Promise<Point> {
  const { device } = xs[0] as Tensor
  const at = (step: number) =>
    points.map(({ shape, data }, i) =>
      tensor(
        device,
        data.map((value, j) => value + step * ((v[i] as Point).data[j] as number)),
        { shape },
      ),
    )
  const [above, below] = [eps, -eps].map((step) =>
    scope(() => expectResult('checkGrads', f(...at(step))).detach()),
  ) as [Tensor, Tensor]
  const [high, low] = [await above.read(), await below.read()]
  const w = directionLike(above.shape, random)
  above.dispose()
  below.dispose()

  const gradients = scope(() => {
    const leaves = at(0).map((x) => x.leaf())
    const y = expectResult('checkGrads', f(...leaves))
    return grad(y, leaves, { gradOutput: tensor(device, w.data, { shape: w.shape }), allowUnused: true })
  })
  let slope = 0
  let squares = 0
  for (const [i, g] of gradients.entries()) {
    const data = await g.read()
    data.forEach((value, j) => {
      const part = value * ((v[i] as Point).data[j] as number)
      slope += part
      squares += part * part
    })
    g.dispose()
  }
  let difference = 0
  let magnitude = 0
  w.data.forEach((weight, i) => {
    difference += (weight * ((high[i] as number) - (low[i] as number))) / (2 * eps)
    magnitude += Math.abs(weight * (high[i] as number))
  })
  // The results are rounded to f32, and their difference is divided by the step.
  const rounding = (2 ** -20 * magnitude) / eps
  const limit = tolerance * Math.max(Math.abs(slope), Math.abs(difference), Math.sqrt(squares)) + rounding
  if (!(Math.abs(slope - difference) <= limit)) {
    throw new Ld3mError(
      'numeric',
      `checkGrads: along a random direction the gradient of order ${order} gives ${slope}, the central difference ` +
        `${difference} (inputs ${points.map((p) => formatShape(p.shape)).join(', ')}; error allowed: ${limit}).`,
      'If f has a kink or large curvature near this point, check at another one or change eps; else its gradient is wrong.',
    )
  }
  return w
}
