import { HostRandom } from '../autograd/index.ts'
import type { AnyDataset } from '../data/index.ts'
import { optionError, rejectUnknownOptions } from '../errors.ts'
import type { Accuracy } from './accuracy.ts'
import type { DistillProgress } from './distill-options.ts'
import { type EvaluateOptions, evaluate } from './evaluate.ts'
import { atLeastOne, seedOf } from './options.ts'
import type { DistilledSet } from './synthetic.ts'
import { PROTOCOL_OPTIONS } from './train-student.ts'

export interface ChooseIterationOptions
  extends Omit<EvaluateOptions, 'train' | 'test' | 'normalization' | 'resume' | 'onProgress'> {
  /** Real images that neither distilling nor testing sees; `splitDataset` makes some. */
  validation: AnyDataset
  /** Iterations between two evaluations. Default 100. */
  every?: number
  /** What an earlier choice came to, where its distillation is resumed. */
  resume?: Pick<IterationChoice, 'history' | 'best'>
}

/** One iteration's set and how well students learn from it. */
export interface ChosenIteration {
  readonly iteration: number
  readonly set: DistilledSet
  /** On the validation images, by the students' names. */
  readonly accuracy: Readonly<Record<string, Accuracy>>
  /** Mean over the students, 0…1. */
  readonly mean: number
}

const KNOWN = ['device', 'students', 'runs', 'seed', 'signal', 'validation', 'every', 'resume', ...PROTOCOL_OPTIONS]

/**
 * Chooses the iteration of a distillation whose images teach best, by validation images. The original code reports the
 * best test accuracy over all iterations, which looks at the test images to choose; so the test set stays unseen here.
 *
 *     const choice = chooseIteration({ device, validation, students })
 *     await distill({ …, onProgress: choice.onProgress })
 *     const accuracy = await evaluate({ device, students, train: choice.best.set, test })
 *
 * @throws Ld3mError `option`
 */
export function chooseIteration(options: ChooseIterationOptions): IterationChoice {
  rejectUnknownOptions('chooseIteration', options, KNOWN)
  return new IterationChoice(options)
}

/** What `chooseIteration` gives: pass its `onProgress` to `distill`, then ask for the `best`. */
export class IterationChoice {
  readonly #options: Omit<ChooseIterationOptions, 'validation' | 'every' | 'resume'>
  readonly #validation: AnyDataset
  readonly #every: number
  #best: ChosenIteration | undefined
  #means: { readonly iteration: number; readonly mean: number }[] = []

  constructor({ validation, every = 100, seed = 0, resume, ...options }: ChooseIterationOptions) {
    // Draws of their own: a training that `evaluate` repeated would be one that was chosen for its luck.
    const draws = new HostRandom({ seed: seedOf('chooseIteration', seed), stream: 0 }).fork('choose')
    this.#options = { ...options, seed: draws.integer(2 ** 32) }
    this.#validation = validation
    this.#every = atLeastOne('chooseIteration', 'every', every)
    if (resume) {
      this.#means = [...resume.history]
      this.#best = resume.best
    }
  }

  /** Evaluates the set every so often, and after the last iteration. */
  readonly onProgress = async (progress: DistillProgress): Promise<void> => {
    const { iteration, iterations } = progress
    if (this.isDue(iteration, iterations)) await this.consider(iteration, await progress.snapshot())
  }

  /** Whether an iteration is to be evaluated, and is not yet. */
  isDue(iteration: number, iterations: number): boolean {
    const chosen = iteration > 0 && (iteration % this.#every === 0 || iteration === iterations)
    return chosen && !this.#means.some((evaluated) => evaluated.iteration === iteration)
  }

  /** Evaluates the set of an iteration. */
  async consider(iteration: number, set: DistilledSet): Promise<void> {
    const { normalization } = set
    const accuracy = await evaluate({ ...this.#options, train: set, test: this.#validation, normalization })
    const means = Object.values(accuracy).map(({ mean }) => mean)
    const mean = means.reduce((a, b) => a + b, 0) / means.length
    this.#means.push({ iteration, mean })
    if (!this.#best || mean > this.#best.mean) this.#best = { iteration, set, accuracy, mean }
  }

  /** Mean accuracies of all evaluated iterations, in order. */
  get history(): readonly { readonly iteration: number; readonly mean: number }[] {
    return this.#means
  }

  /**
   * The best iteration so far; the earlier one of two that are equal.
   * @throws Ld3mError `option` if nothing was evaluated yet
   */
  get best(): ChosenIteration {
    if (this.#best) return this.#best
    throw optionError('chooseIteration: nothing was evaluated.', 'Pass onProgress to distill, and wait for it.')
  }
}
