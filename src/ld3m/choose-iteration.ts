import type { AnyDataset } from '../data/index.ts'
import { optionError, rejectUnknownOptions } from '../errors.ts'
import type { Accuracy } from './accuracy.ts'
import type { DistillProgress } from './distill-options.ts'
import { type EvaluateOptions, evaluate } from './evaluate.ts'
import { atLeastOne } from './options.ts'
import type { DistilledSet } from './synthetic.ts'
import { PROTOCOL_OPTIONS } from './train-student.ts'

export interface ChooseIterationOptions
  extends Omit<EvaluateOptions, 'train' | 'test' | 'normalization' | 'onProgress'> {
  /** Real images that neither distilling nor testing sees; `splitDataset` makes some. */
  validation: AnyDataset
  /** Iterations between two evaluations. Default 100. */
  every?: number
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

const KNOWN = ['device', 'students', 'runs', 'seed', 'signal', 'validation', 'every', ...PROTOCOL_OPTIONS]

/**
 * Chooses the iteration of a distillation whose images teach best, by validation images. The original code reports the
 * best test accuracy over all iterations, which looks at the test images to choose; so the test set stays unseen here.
 *
 *     const choice = chooseIteration({ device, validation, students })
 *     await distill({ …, onProgress: choice.onProgress })
 *     const accuracy = await evaluate({ train: choice.best.set, test, … })
 *
 * @throws Ld3mError `option`
 */
export function chooseIteration(options: ChooseIterationOptions): IterationChoice {
  rejectUnknownOptions('chooseIteration', options, KNOWN)
  return new IterationChoice(options)
}

/** What `chooseIteration` gives: pass its `onProgress` to `distill`, then ask for the `best`. */
export class IterationChoice {
  readonly #options: Omit<ChooseIterationOptions, 'validation' | 'every'>
  readonly #validation: AnyDataset
  readonly #every: number
  #best: ChosenIteration | undefined
  readonly #means: { readonly iteration: number; readonly mean: number }[] = []

  constructor({ validation, every = 100, ...options }: ChooseIterationOptions) {
    this.#options = options
    this.#validation = validation
    this.#every = atLeastOne('chooseIteration', 'every', every)
  }

  /** Evaluates the set every so often, and after the last iteration. */
  readonly onProgress = async (progress: DistillProgress): Promise<void> => {
    const { iteration, iterations } = progress
    if (iteration % this.#every !== 0 && iteration !== iterations) return
    const set = await progress.snapshot()
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
