import { grad, noGrad, ops, scope, type Tensor, tensor, tensorsIn, zeros } from '../../autograd/index.ts'
import { augment } from '../../data/index.ts'
import { Params, type StateDict, type Student } from '../../models/index.ts'
import { labelTensor } from '../train-step.ts'
import type { StudentStep } from './mtt-steps.ts'

/** A stretch of an expert's trajectory, and a student that is to cover it on synthetic images. */
export interface Trajectory {
  readonly student: Student
  /** θ₀: the expert's parameters where the student starts. */
  readonly start: StateDict
  /** θ*: the expert's parameters where it should arrive. */
  readonly target: StateDict
  /** α, [1]. */
  readonly learningRate: Tensor
  /** Synthetic images as networks see them, [M, C, H, W]. */
  readonly images: Tensor
  readonly steps: readonly StudentStep[]
}

/** How the gradient of the matching loss is taken. */
export type Differentiation = 'exact' | 'constant'

export interface TrajectoryMatch {
  /** ‖θ_N − θ*‖² / ‖θ₀ − θ*‖², one element. */
  readonly loss: Tensor
  /** ∂L/∂images, [M, C, H, W]. */
  readonly gradient: Tensor
  /** ∂L/∂α, [1]. */
  readonly learningRateGradient: Tensor
}

type Tensors = readonly Tensor[]

/** gᵢ = ∇θ CE(θᵢ; A(xᵢ)) with its graph, at leaves of θᵢ and of the step's images xᵢ. */
interface StepGraph {
  readonly theta: Tensors
  readonly images: Tensor
  readonly gradients: Tensors
}

/** Gradients with respect to the images and to α, summed over steps. */
interface Sums {
  readonly images: Tensor
  readonly learningRate: Tensor
}

/**
 * Trajectory matching (Cazenavette et al. 2022): N steps θᵢ₊₁ = θᵢ − α·gᵢ of a student on the synthetic images, whose
 * end is compared with the expert's. No graph spans the steps: the gradient is carried back by hand, with one step's
 * graph at a time. With λ_N = ∂L/∂θ_N and sᵢ = ⟨λᵢ₊₁, gᵢ⟩,
 *
 *     ∂L/∂α = −Σ sᵢ,   ∂L/∂xᵢ = −α·∂sᵢ/∂xᵢ,   λᵢ = λᵢ₊₁ − α·∂sᵢ/∂θᵢ
 *
 * - 'exact' is back-propagation through the unrolled student with a checkpoint a step: N sets of parameters are kept, or,
 *   with `keepGraphs`, the graphs of all steps, which saves computing each gᵢ twice.
 * - 'constant' takes λᵢ = λ_N: it leaves out what a step's images do through the gradients of later steps. Nothing then
 *   has to run backwards, a second walk over the steps gives the gradients, and memory does not grow with N (TESLA: Cui
 *   et al. 2023; the form in the code of GLaD and LD3M).
 *
 * Call it in a scope.
 */
export function matchTrajectory(
  trajectory: Trajectory,
  differentiation: Differentiation,
  options: { readonly keepGraphs?: boolean } = {},
): TrajectoryMatch {
  return differentiation === 'exact' ? exact(trajectory, options.keepGraphs ?? false) : constant(trajectory)
}

function exact(trajectory: Trajectory, keepGraphs: boolean): TrajectoryMatch {
  const { steps } = trajectory
  const points: { readonly theta: Tensors; readonly graph: StepGraph | undefined }[] = []
  let theta = parametersOf(trajectory, 'start')
  for (const step of steps) {
    const graph = keepGraphs ? stepGraph(trajectory, theta, step) : undefined
    points.push({ theta, graph })
    theta = scope(() => descend(trajectory, theta, graph?.gradients ?? stepGradients(trajectory, theta, step)))
  }
  const end = compare(trajectory, theta)
  dispose(theta)
  let { lambda } = end
  let sums = zeroSums(trajectory)
  for (const [i, step] of [...steps.entries()].reverse()) {
    const { theta, graph } = points[i] as (typeof points)[number]
    const next = scope(() => {
      // Nothing is wanted of the expert's own parameters, where the student starts.
      const carried = carry(trajectory, graph ?? stepGraph(trajectory, theta, step), step, lambda, sums, i > 0)
      return { sums: carried.sums, lambda: descend(trajectory, i > 0 ? lambda : [], carried.ofTheta) }
    })
    dispose({ theta, graph, lambda, sums })
    ;({ lambda, sums } = next)
  }
  return { loss: end.loss, gradient: sums.images, learningRateGradient: sums.learningRate }
}

function constant(trajectory: Trajectory): TrajectoryMatch {
  const { steps } = trajectory
  let theta = parametersOf(trajectory, 'start')
  for (const step of steps) {
    const next = scope(() => descend(trajectory, theta, stepGradients(trajectory, theta, step)))
    dispose(theta)
    theta = next
  }
  const { loss, lambda } = compare(trajectory, theta)
  dispose(theta)
  let walk = { theta: parametersOf(trajectory, 'start'), sums: zeroSums(trajectory) }
  for (const step of steps) {
    const next = scope(() => {
      const graph = stepGraph(trajectory, walk.theta, step)
      const { sums } = carry(trajectory, graph, step, lambda, walk.sums, false)
      return { sums, theta: descend(trajectory, walk.theta, graph.gradients) }
    })
    dispose(walk)
    walk = next
  }
  return { loss, gradient: walk.sums.images, learningRateGradient: walk.sums.learningRate }
}

const dispose = (tree: unknown): void => {
  for (const t of tensorsIn(tree)) t.dispose()
}

const parametersOf = ({ student, ...ends }: Trajectory, which: 'start' | 'target'): Tensors =>
  Object.keys(student.parameters).map((name) => (ends[which][name] as Tensor).detach())

const zeroSums = ({ images, learningRate }: Trajectory): Sums => ({
  images: zeros(images.device, images.shape),
  learningRate: zeros(images.device, learningRate.shape),
})

/** xs − α·gs. */
const descend = ({ learningRate }: Trajectory, xs: Tensors, gs: Tensors): Tensors =>
  noGrad(() => xs.map((x, i) => ops.sub(x, ops.mul(gs[i] as Tensor, learningRate))))

const stepGradients = (trajectory: Trajectory, theta: Tensors, step: StudentStep): Tensors =>
  scope(() => gradientsAt(trajectory, theta, stepImages(trajectory, step), step, false).gradients)

const stepGraph = (trajectory: Trajectory, theta: Tensors, step: StudentStep): StepGraph =>
  scope(() => gradientsAt(trajectory, theta, stepImages(trajectory, step).leaf(), step, true))

function stepImages({ images }: Trajectory, { indices }: StudentStep): Tensor {
  return indices ? ops.gather(images, tensor(images.device, indices)) : images.alias()
}

function gradientsAt(
  { student }: Trajectory,
  theta: Tensors,
  images: Tensor,
  { labels, draw }: StudentStep,
  createGraph: boolean,
): StepGraph {
  const leaves = theta.map((t) => t.leaf())
  const state = Object.fromEntries(Object.keys(student.parameters).map((name, i) => [name, leaves[i] as Tensor]))
  const logits = student.apply(new Params(state), augment(images, draw))
  const loss = ops.crossEntropy(logits, labelTensor(images, labels))
  return { theta: leaves, images, gradients: grad(loss, leaves, { createGraph }) }
}

/** Adds what step i contributes, given λᵢ₊₁; and, where λ goes on, ∂sᵢ/∂θᵢ. */
function carry(
  { images, learningRate }: Trajectory,
  graph: StepGraph,
  { indices }: StudentStep,
  lambda: Tensors,
  sums: Sums,
  further: boolean,
): { sums: Sums; ofTheta: Tensors } {
  const s = total(graph.gradients.map((g, p) => ops.sum(ops.mul(g, lambda[p] as Tensor))))
  // A parameter that no gradient depends on has a derivative of exactly zero.
  const [ofImages, ...ofTheta] = grad(s, [graph.images, ...(further ? graph.theta : [])], { allowUnused: true })
  const onStep = ops.mul(ofImages as Tensor, learningRate)
  const onImages = indices ? ops.scatterAdd(onStep, tensor(images.device, indices), images.shape[0] as number) : onStep
  return {
    sums: {
      images: ops.sub(sums.images, onImages),
      learningRate: ops.sub(sums.learningRate, ops.reshape(s.detach(), learningRate.shape)),
    },
    ofTheta,
  }
}

/** The loss of an end θ_N, and λ_N. */
function compare(trajectory: Trajectory, theta: Tensors): { loss: Tensor; lambda: Tensors } {
  return scope(() => {
    const target = parametersOf(trajectory, 'target')
    const from = (xs: Tensors) => xs.map((x, p) => ops.sub(x, target[p] as Tensor))
    const apart = from(theta)
    const initial = squaredNorm(from(parametersOf(trajectory, 'start')))
    return {
      loss: ops.div(squaredNorm(apart), initial),
      lambda: apart.map((x) => ops.mul(x, ops.div(2, initial))),
    }
  })
}

const total = (parts: Tensors): Tensor => parts.reduce((a, b) => ops.add(a, b))
const squaredNorm = (xs: Tensors): Tensor => total(xs.map((x) => ops.sum(ops.square(x))))
