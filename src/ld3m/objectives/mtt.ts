import { keep, noGrad, ops, scope, type Tensor, tensor } from '../../autograd/index.ts'
import { dataError, formatValue, optionError, rejectUnknownOptions } from '../../errors.ts'
import { loadStateDict, type NamedArrays, type StateDict } from '../../models/index.ts'
import { type NamedTensors, Sgd } from '../../optim/index.ts'
import { counted } from '../../words.ts'
import { checkExperts, type Experts } from '../experts/index.ts'
import { atLeastOne, oneOf, positive } from '../options.ts'
import { groupedLabels } from '../synthetic.ts'
import { drawSteps } from './mtt-steps.ts'
import { type Differentiation, matchTrajectory } from './mtt-unroll.ts'
import type { Learned, Matched, Matcher, MatchingContext, Objective, RunContext } from './types.ts'

export interface MttOptions {
  /** Trajectories of students trained on the real images (`trainExperts`), of the run's student and dataset. */
  experts: Experts
  /** Steps of the student on the synthetic images, N. Default 10. */
  studentSteps?: number
  /** Epochs of the expert that those steps are to cover, M. Default 2. */
  expertEpochs?: number
  /** The student starts at one of the expert's epochs 0…maxStartEpoch − 1. Default 2. */
  maxStartEpoch?: number
  /** Synthetic images a step of the student, at most. Default all. */
  batch?: number
  /** Learning rate α of the student's steps, where learning it starts. Default 0.01. */
  studentLearningRate?: number
  /** How fast α is learned: the learning rate of its SGD, with momentum 0.5; 0 keeps α. Default 1e-6. */
  learnStudentLearningRate?: number
  /**
   * 'exact': back-propagation through the unrolled student. 'constant': without the part that passes through the
   * gradients of later steps, in memory that does not grow with N (TESLA). Default 'exact'.
   */
  differentiation?: Differentiation
  /** 'exact' only: keep the graphs of all steps instead of computing each again; faster, more memory. Default false. */
  keepGraphs?: boolean
  /** Faults of the authors' code to reproduce: 'half-gradient', which loses a factor of 2 in 'constant'. Default none. */
  legacy?: readonly 'half-gradient'[]
}

const KNOWN = [
  ...['experts', 'studentSteps', 'expertEpochs', 'maxStartEpoch', 'batch', 'studentLearningRate'],
  ...['learnStudentLearningRate', 'differentiation', 'keepGraphs', 'legacy'],
]

const MOMENTUM = 0.5
/** α is kept above this share of where it started: at 0 or below, a student would not learn, or unlearn. */
const LEAST_SHARE = 1e-3

type Resolved = Required<Omit<MttOptions, 'experts' | 'batch'>> & { readonly batch: number | undefined }

/**
 * Trajectory matching (Cazenavette et al. 2022): a student that starts at an expert's parameters and takes N steps on the
 * synthetic images should arrive where the expert was M epochs later. The student's learning rate is learned too, and
 * kept positive; the distilled set carries it.
 */
export function mtt(options: MttOptions): Objective {
  rejectUnknownOptions('mtt', options, KNOWN)
  const { experts, ...rest } = options
  if (!experts?.manifest) {
    throw optionError(
      `mtt: experts is ${formatValue(experts)}.`,
      'Pass what trainExperts or openExperts gives, awaited.',
    )
  }
  const resolved = resolve(rest)
  const { training, dataset: seen, experts: trained } = experts.manifest
  const { epochs } = training
  const dataset = { name: seen.name, count: seen.count }
  // A number that tells experts apart that were made alike, of other images or on another adapter.
  const finalLoss = trained.reduce((sum, { loss }) => sum + (loss.at(-1) ?? 0), 0) / trained.length
  if (resolved.maxStartEpoch - 1 + resolved.expertEpochs > epochs) {
    throw optionError(
      `mtt: an expert has ${counted(epochs, 'epoch')}; maxStartEpoch ${resolved.maxStartEpoch} with expertEpochs ` +
        `${resolved.expertEpochs} asks for ${resolved.maxStartEpoch - 1 + resolved.expertEpochs}.`,
      'Lower one of them, or train experts for longer.',
    )
  }
  return {
    name: 'MTT',
    realBatches: 0,
    learningRate: { 'latent-diffusion': 1000, autoencoder: 100, pixel: 1000 },
    options: { ...resolved, experts: { count: experts.count, finalLoss, dataset, training } },
    start: (context) => new MttMatcher(experts, resolved, context),
  }
}

function resolve(options: Omit<MttOptions, 'experts'>): Resolved {
  const { differentiation = 'exact', keepGraphs = false, legacy = [], learnStudentLearningRate = 1e-6 } = options
  oneOf('mtt', 'differentiation', differentiation, ['exact', 'constant'])
  for (const name of legacy) oneOf('mtt', 'legacy', name, ['half-gradient'])
  const ofConstant = legacy.length > 0 ? 'legacy' : undefined
  const ofExact = keepGraphs ? 'keepGraphs' : undefined
  const misplaced = differentiation === 'exact' ? ofConstant : ofExact
  if (misplaced) {
    throw optionError(`mtt: ${misplaced} does not go with differentiation '${differentiation}'.`, 'Leave one out.')
  }
  if (!(learnStudentLearningRate >= 0 && Number.isFinite(learnStudentLearningRate))) {
    throw optionError(`mtt: learnStudentLearningRate is ${learnStudentLearningRate}.`, 'Use a number ≥ 0.')
  }
  return {
    studentSteps: atLeastOne('mtt', 'studentSteps', options.studentSteps ?? 10),
    expertEpochs: atLeastOne('mtt', 'expertEpochs', options.expertEpochs ?? 2),
    maxStartEpoch: atLeastOne('mtt', 'maxStartEpoch', options.maxStartEpoch ?? 2),
    batch: options.batch === undefined ? undefined : atLeastOne('mtt', 'batch', options.batch),
    studentLearningRate: positive('mtt', 'studentLearningRate', options.studentLearningRate ?? 0.01),
    ...{ learnStudentLearningRate, differentiation, keepGraphs, legacy },
  }
}

class MttMatcher implements Matcher {
  readonly #experts: Experts
  readonly #options: Resolved
  readonly #context: RunContext
  /** Where a student starts and should arrive. */
  #ends: readonly [NamedArrays, NamedArrays] | undefined
  readonly #learningRate: Tensor
  readonly #optimizer: Sgd

  constructor(experts: Experts, options: Resolved, context: RunContext) {
    checkExperts('mtt', experts.manifest, context)
    this.#experts = experts
    this.#options = options
    this.#context = context
    this.#learningRate = keep(tensor(context.device, [options.studentLearningRate]))
    const { learnStudentLearningRate: lr } = options
    this.#optimizer = new Sgd({ learningRate: this.#learningRate }, { lr, momentum: MOMENTUM })
  }

  async prepare(iteration: number): Promise<void> {
    const { random } = this.#context
    const { maxStartEpoch, expertEpochs } = this.#options
    const { count } = this.#experts
    // Each round goes through all experts in a new order; what an iteration takes follows from its number alone.
    const order = random.fork(`round ${Math.floor(iteration / count)}`).shuffle(count)
    const expert = order[iteration % count] as number
    const epoch = random.fork(`start ${iteration}`).integer(maxStartEpoch)
    this.#ends = await Promise.all([
      this.#experts.snapshot(expert, epoch),
      this.#experts.snapshot(expert, epoch + expertEpochs),
    ])
  }

  rehearse(): void {
    const { parameters } = this.#context.student
    const sizes = Object.entries(parameters).map(([name, { shape }]) => {
      return [name, { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }] as const
    })
    this.#ends = [Object.fromEntries(sizes), Object.fromEntries(sizes)]
  }

  match({ images, classes, imagesPerClass, student, augmentation, random }: MatchingContext): Matched {
    const { studentSteps: count, batch, differentiation, keepGraphs, legacy } = this.#options
    const labels = groupedLabels(classes, imagesPerClass)
    const size = [images.shape[2] as number, images.shape[3] as number] as const
    const steps = drawSteps(random, { count, batch: batch ?? labels.length, labels, strategy: augmentation, size })
    const [start, target] = (this.#ends as readonly NamedArrays[]).map((ends) => this.#upload(ends)) as [
      StateDict,
      StateDict,
    ]
    const trajectory = { student, start, target, learningRate: this.#learningRate, images, steps }
    const { loss, gradient, learningRateGradient } = matchTrajectory(trajectory, differentiation, { keepGraphs })
    return {
      loss,
      gradient: legacy.includes('half-gradient') ? ops.scale(gradient, 0.5) : gradient,
      own: { learningRate: learningRateGradient },
    }
  }

  #upload(ends: NamedArrays): StateDict {
    return loadStateDict(this.#context.device, this.#context.student, ends)
  }

  update(own: NamedTensors): void {
    this.#optimizer.step(own)
    const alpha = this.#learningRate
    const { device } = this.#context
    scope(() => {
      const least = ops.fill(device, [1], LEAST_SHARE * this.#options.studentLearningRate)
      device.copy(noGrad(() => ops.maximum(alpha, least)).buffer, 0, alpha.buffer, 0, 4)
    })
  }

  async learned(): Promise<Learned> {
    return { studentLearningRate: await this.#learningRate.item() }
  }

  state(): NamedTensors {
    return { student_learning_rate: this.#learningRate, velocity: this.#optimizer.stateDict().learningRate as Tensor }
  }

  restore(state: NamedArrays): void {
    for (const [name, t] of Object.entries(this.state())) {
      const data = state[name]?.data
      if (data?.length !== 1) throw dataError(`The saved state of MTT has no number '${name}'.`, 'Start again.')
      t.write(data)
    }
  }

  dispose(): void {
    this.#optimizer.dispose()
    this.#learningRate.dispose()
  }
}
