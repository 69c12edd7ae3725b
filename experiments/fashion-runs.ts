// One distillation of Fashion-MNIST and what networks learn from it: what the experiments vary are its options.
import { mkdir } from 'node:fs/promises'
import type { Dataset } from '../src/data/index.ts'
import type { Device } from '../src/gpu/index.ts'
import {
  type Accuracy,
  chooseIteration,
  type DiffusionOptions,
  type DistillOptions,
  type DistillSettings,
  dc,
  distill,
  distilledToSafetensors,
  dm,
  type Experts,
  evaluate,
  mtt,
  type Normalization,
  normalizationOf,
  type Objective,
  type Prior,
  randomReal,
  type SpaceOptions,
  type TrainingData,
  type TrainingProtocol,
} from '../src/ld3m/index.ts'
import { openDevice, writeFileAtomic } from '../src/node/index.ts'
import type { Experiment } from './cells.ts'
import { fashionExperts } from './experts.ts'
import { fashion, fashionPrior } from './fashion.ts'
import { resultsFile, scale, scratchFolder } from './scale.ts'

const { seen, unseen, protocol } = scale

export type SpaceName = 'pixel' | 'autoencoder' | 'latent-diffusion'
export type ObjectiveName = 'DM' | 'DC' | 'MTT'

export const SPACES: readonly SpaceName[] = ['pixel', 'autoencoder', 'latent-diffusion']
export const OBJECTIVES: readonly ObjectiveName[] = ['DM', 'DC', 'MTT']

/** What was learned from a set of images. */
export interface Taught {
  /** Test accuracy by architecture. */
  readonly accuracy: Readonly<Record<string, Accuracy>>
}

/** What came of a distillation. */
export interface Distilled extends Taught {
  readonly learningRate: number
  /** The iteration that validation images chose. */
  readonly iteration: number
  readonly loss: { readonly first: number; readonly last: number }
  /** Median of an iteration. */
  readonly secondsAnIteration: number
}

/** What a distillation is of. */
export interface FashionRun {
  readonly space: SpaceName
  readonly objective: ObjectiveName
  readonly iterations: number
  readonly seed: number
  readonly learningRate: number
  readonly imagesPerClass?: number
  /** Steps of the diffusion, default 5, and what else differs from defaults. */
  readonly diffusion?: DiffusionOptions
  readonly learn?: NonNullable<DistillSettings['learn']>
}

/** Device, data, prior and experts, opened once. */
export class FashionBench {
  readonly device: Device
  readonly train: Dataset
  readonly validation: Dataset
  readonly test: Dataset
  readonly prior: Prior
  readonly #normalization: Normalization
  #experts: Experts | undefined

  private constructor(device: Device, { train, validation, test }: Awaited<ReturnType<typeof fashion>>, prior: Prior) {
    this.device = device
    this.train = train
    this.validation = validation
    this.test = test
    this.prior = prior
    this.#normalization = normalizationOf(train)
  }

  static async open(): Promise<FashionBench> {
    const device = await openDevice()
    return new FashionBench(device, await fashion(), await fashionPrior(device))
  }

  /** Test accuracy of every network; `more` is what differs from the protocol. */
  async teach(train: TrainingData, seed: number, more: TrainingProtocol = {}): Promise<Taught> {
    const { device, test } = this
    const students = [seen, ...unseen]
    const normalization = this.#normalization
    return { accuracy: await evaluate({ device, train, test, normalization, students, seed, ...protocol, ...more }) }
  }

  /** An experiment whose distillations take so many iterations. */
  experiment(name: string, iterations: number): Experiment {
    const { protocol, share } = scale
    const settings = { iterations, protocol, share }
    return { file: resultsFile(name), name, adapter: this.device.info.description, settings }
  }

  async randomReal(imagesPerClass: number, seed: number): Promise<Taught> {
    return this.teach(await randomReal(this.train, imagesPerClass, seed), seed)
  }

  /** Validation accuracy of the matched network on the last iteration's images. */
  async validated(run: FashionRun): Promise<number> {
    const { device, validation } = this
    const set = await distill(await this.#options(run))
    const { normalization } = set
    const options = { device, train: set, test: validation, normalization, students: [seen], seed: run.seed }
    return (await evaluate({ ...options, ...protocol }))[seen.name]?.mean ?? Number.NaN
  }

  /** Distils, chooses one of four iterations, keeps its images as `name`, and trains every network on them. */
  async distilled(name: string, run: FashionRun): Promise<Distilled> {
    const { device, validation } = this
    const every = Math.ceil(run.iterations / 4)
    // The network that is matched chooses the iteration: the unseen ones stay unseen.
    const chosenBy = { device, validation, students: [seen], every, seed: run.seed }
    const choice = chooseIteration({ ...chosenBy, ...protocol, runs: 1 })
    const seconds: number[] = []
    let before = performance.now()
    const { loss } = await distill({
      ...(await this.#options(run)),
      onProgress: async (progress) => {
        seconds.push((performance.now() - before) / 1000)
        await choice.onProgress(progress)
        before = performance.now()
      },
    })
    const { set, iteration } = choice.best
    const folder = scratchFolder('sets')
    await mkdir(folder, { recursive: true })
    await writeFileAtomic(`${folder}/${name}.safetensors`, distilledToSafetensors(set))
    const { accuracy } = await this.teach(set, run.seed)
    const ends = { first: loss[0] as number, last: loss.at(-1) as number }
    const secondsAnIteration = seconds.toSorted((a, b) => a - b)[seconds.length >> 1] as number
    return { accuracy, learningRate: run.learningRate, iteration, loss: ends, secondsAnIteration }
  }

  async #options({ space, objective, iterations, diffusion, ...run }: FashionRun): Promise<DistillOptions> {
    const { device, prior, train } = this
    const spaces: Readonly<Record<SpaceName, SpaceOptions>> = {
      pixel: { space: 'pixel', device },
      autoencoder: { space: 'autoencoder', prior },
      'latent-diffusion': { space: 'latent-diffusion', prior, diffusion: { steps: 5, ...diffusion } },
    }
    const matched = { dataset: train, objective: await this.#objective(objective), student: seen, steps: iterations }
    return { ...matched, ...run, ...spaces[space] }
  }

  async #objective(name: ObjectiveName): Promise<Objective> {
    if (name === 'DM') return dm()
    if (name === 'DC') return dc()
    this.#experts ??= await fashionExperts(this.device, this.train)
    return mtt({ experts: this.#experts })
  }

  close(): void {
    this.prior.dispose()
    this.device.destroy()
  }
}
