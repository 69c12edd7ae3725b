import { IMAGENET_SUBSETS, type ImagenetSubset } from '../data/index.ts'
import { didYouMean } from '../did-you-mean.ts'
import { optionError } from '../errors.ts'
import { alexNet, convNet, resNet, type Student, vgg, vit } from '../models/index.ts'
import type { ChooseIterationOptions } from './choose-iteration.ts'
import type { DistillSettings } from './distill-options.ts'
import type { EvaluateOptions } from './evaluate.ts'
import type { Experts, TrainExpertsOptions } from './experts/index.ts'
import { dc, dm, mtt, type Objective } from './objectives/index.ts'
import { PUBLISHED_ACCURACIES } from './published.ts'
import type { AutoencoderSpaceOptions, LatentDiffusionSpaceOptions } from './spaces/index.ts'
import { paperProtocol, type TrainingProtocol } from './train-student.ts'

export type PaperTable = 2 | 3 | 4 | 5 | 6 | 7 | 8
export type PaperObjective = 'dc' | 'dm' | 'mtt'
export type PaperSubset = ImagenetSubset | 'cifar-10'

/** What sets rows of one table apart beside subset, objective and images a class. */
export type PaperVariant =
  | 'imagenet' // Table 5: the generator
  | 'ffhq'
  | 'random'
  | 'without-diffusion' // Table 6
  | 'conditioning' // Table 7: what is learned, in plain DDIM or with LD3M's residual
  | 'both'
  | 'residual'
  | 'gaussian' // Table 8: where learning starts
  | 'real'

/** Options of `distill`, without data and objective. */
export type PaperDistillOptions = Pick<
  DistillSettings,
  'imagesPerClass' | 'steps' | 'learningRate' | 'momentum' | 'realBatch' | 'student' | 'chunk' | 'learn' | 'init'
> &
  PaperSpaceOptions

type PaperSpaceOptions =
  | Omit<LatentDiffusionSpaceOptions, 'prior' | 'device'>
  | Omit<AutoencoderSpaceOptions, 'prior' | 'device'>

/**
 * A row of a table of the paper (Moser et al., *Unlocking Dataset Distillation with Diffusion Models*, NeurIPS 2025): plain
 * data, to be spread and changed.
 */
export interface PaperRecipe {
  /** Such as `table4-imagenet-a-dm`. */
  readonly name: string
  readonly table: PaperTable
  readonly subset: PaperSubset
  readonly objective: PaperObjective
  readonly imagesPerClass: 1 | 10 | 50
  readonly variant?: PaperVariant
  /** Sides of the images. */
  readonly size: number
  /** The generator: LDM of ImageNet or of faces, or the latter's with an untrained denoiser. */
  readonly prior: 'imagenet' | 'ffhq' | 'random'
  readonly distill: PaperDistillOptions
  /** What is matched; trajectories need experts. */
  readonly match: (experts?: Experts) => Objective
  /** The four networks that distillation does not see, and the protocol: the table's cell is the mean of their means. */
  readonly evaluate: Pick<EvaluateOptions, 'students'> & TrainingProtocol & { readonly runs: number }
  /** How the iteration is chosen, with validation images that are split off the training images. */
  readonly choose: Pick<ChooseIterationOptions, 'students' | 'runs' | 'every'> &
    TrainingProtocol & { readonly validationFraction: number }
  /** For `trainExperts`, where trajectories are matched. */
  readonly experts?: Pick<TrainExpertsOptions, 'count' | 'epochs' | 'student' | 'batch' | 'learningRate'>
  /** The paper's test accuracy in percent, where this project could read it. */
  readonly published?: { readonly mean: number; readonly std?: number }
  /** Values that neither the paper's text nor its authors' code settles for this row, and what stands here instead. */
  readonly assumed: readonly string[]
}

export interface PaperRow {
  readonly table: PaperTable
  readonly subset: PaperSubset
  readonly objective: PaperObjective
  readonly imagesPerClass: 1 | 10 | 50
  /** Needed where a table has several rows otherwise alike: Tables 5, 7 and 8. */
  readonly variant?: PaperVariant
}

const SUBSETS = Object.keys(IMAGENET_SUBSETS) as ImagenetSubset[]
/** ImNet-A to ImNet-E. */
const A_TO_E = SUBSETS.filter((name) => name.startsWith('imagenet-'))

/** The authors' `--Iteration`; GLaD's own default is 1000. */
const ITERATIONS = 10_000
/** The authors' `lr_w`, for latents and conditionings alike. */
const LEARNING_RATES = { dc: 0.1, dm: 1, mtt: 1000 } as const

/** Channels of the network that is matched. */
const WIDTH = 128
/** Bytes of the largest map that it makes of real images at once: what every WebGPU adapter binds. */
const MAP_BYTES = 2 ** 27

const ASSUMED = {
  iterations:
    "10,000 iterations: the authors' default; the count behind the table is in a supplement that is not public here",
  choice:
    'the iteration is chosen every 1,000 by one training of each unseen network on a tenth of the training images; the ' +
    'authors report the best test accuracy over iterations',
  subsets: 'the subsets are those of GLaD at this resolution, A to E; the text does not list them',
  setting: 'algorithm and subsets of this ablation are not stated in the text; 128×128, one image a class',
  cifar: "images are enlarged to 128×128 and class k starts as ImageNet's class k, as the authors' code has it",
  experts: "5,000 experts, the authors' README; GLaD and MTT use 100",
} as const

function* rows(): Generator<PaperRow> {
  for (const objective of ['dc', 'dm'] as const) yield { table: 2, subset: 'cifar-10', objective, imagesPerClass: 1 }
  yield { table: 2, subset: 'cifar-10', objective: 'mtt', imagesPerClass: 50 }
  for (const subset of SUBSETS) {
    for (const objective of ['mtt', 'dc', 'dm'] as const) yield { table: 3, subset, objective, imagesPerClass: 1 }
  }
  for (const subset of A_TO_E) {
    for (const objective of ['dc', 'dm'] as const) yield { table: 4, subset, objective, imagesPerClass: 10 }
  }
  for (const subset of A_TO_E) {
    for (const variant of ['imagenet', 'ffhq', 'random'] as const) {
      yield { table: 5, subset, objective: 'dc', imagesPerClass: 1, variant }
    }
  }
  const ablations = [
    [6, 'without-diffusion'],
    ...(['conditioning', 'both', 'residual'] as const).map((variant) => [7, variant] as const),
    ...(['gaussian', 'real'] as const).map((variant) => [8, variant] as const),
  ] as const
  for (const [table, variant] of ablations) {
    for (const subset of A_TO_E) {
      for (const objective of ['dc', 'dm'] as const) yield { table, subset, objective, imagesPerClass: 1, variant }
    }
  }
}

/** All rows, in the order of the tables. Table 1 is of gradient norms, not of distillations. */
export const paperRows: readonly PaperRow[] = [...rows()]

/** A row's name, such as `table5-imagenet-a-dc-ffhq`; of CIFAR-10 with the images a class. */
export const paperRowName = ({ table, subset, objective, imagesPerClass, variant }: PaperRow): string =>
  [
    `table${table}-${subset}-${objective}`,
    ...(table === 2 ? [`ipc${imagesPerClass}`] : []),
    ...(variant ? [variant] : []),
  ].join('-')

/**
 * The recipe of a row, to spread into `distill`, `evaluate`, `chooseIteration` and `trainExperts`; `reproduce` of
 * `ld3m-gpu/node` runs it as a whole. Values are those of the paper's text and of its authors' code; `assumed` names what
 * neither settles.
 * @throws Ld3mError `option` if the paper has no such row
 */
export function paperRecipe(wanted: PaperRow): PaperRecipe {
  const keys = ['table', 'subset', 'objective', 'imagesPerClass'] as const
  const ofTable = paperRows.filter(({ table }) => table === wanted.table)
  const found = ofTable.filter(
    (row) =>
      keys.every((key) => row[key] === wanted[key]) && (wanted.variant === undefined || row.variant === wanted.variant),
  )
  const [row] = found
  if (!row || found.length > 1) {
    const names = (found.length > 1 ? found : ofTable).map(paperRowName)
    throw optionError(
      `paperRecipe: ${found.length === 0 ? 'no row' : 'more than one row'} of the paper is ${JSON.stringify(wanted)}.`,
      names.length > 0 ? `Rows: ${names.join(', ')}.` : 'Tables with distillations are 2 to 8.',
    )
  }
  return recipeOf(row)
}

/**
 * The recipe by a row's name.
 * @throws Ld3mError `option` if there is none
 */
export function paperRecipeByName(name: string): PaperRecipe {
  const row = paperRows.find((known) => paperRowName(known) === name)
  if (row) return recipeOf(row)
  throw optionError(
    `The paper has no row '${name}'.`,
    `${didYouMean(name, paperRows.map(paperRowName))}The list \`paperRows\` (\`ld3m-gpu reproduce --list\`) has all names.`,
  )
}

function recipeOf(row: PaperRow): PaperRecipe {
  const { table, objective, imagesPerClass, variant } = row
  const size = table === 5 ? 256 : 128
  const task = { channels: 3, size, classes: 10 }
  const prior = variant === 'ffhq' || variant === 'random' ? variant : 'imagenet'
  const student = convNet({ ...task, depth: size === 256 ? 6 : 5, width: WIDTH })
  const students = unseen(task)
  const name = paperRowName(row)
  const published = PUBLISHED_ACCURACIES[name]
  return {
    ...row,
    ...{ name, size, prior },
    distill: {
      ...{ imagesPerClass, steps: ITERATIONS, learningRate: LEARNING_RATES[objective], momentum: 0.5 },
      ...(objective !== 'mtt' && { realBatch: 256 }),
      // The text: T = 10 at 128×128, 20 at 256×256; scale 3 is the supplement's. Recomputing changes no result.
      ...{ student, chunk: 10, ...changesOf(variant) },
      ...spaceOf(row, size),
    },
    match: matching(objective, size),
    evaluate: { students, ...paperProtocol() },
    choose: { ...paperProtocol(), students, runs: 1, every: 1000, validationFraction: 0.1 },
    ...(objective === 'mtt' && { experts: { count: 5000, epochs: 15, student, batch: 256, learningRate: 0.01 } }),
    ...(published && { published }),
    assumed: [
      ...[ASSUMED.iterations, ASSUMED.choice],
      ...(table === 2 ? [ASSUMED.cifar] : []),
      ...(table === 5 ? [ASSUMED.subsets] : []),
      ...(table >= 6 ? [ASSUMED.setting] : []),
      ...(objective === 'mtt' ? [ASSUMED.experts] : []),
    ],
  }
}

/** Section 5 of the paper: the networks whose mean accuracy its tables give. */
const unseen = (task: { channels: number; size: number; classes: number }): Student[] => [
  alexNet(task),
  vgg(task),
  resNet(task),
  vit(task),
]

const priorClassesOf = (subset: PaperSubset): readonly number[] =>
  subset === 'cifar-10' ? Array.from({ length: 10 }, (_, k) => k) : IMAGENET_SUBSETS[subset]

function spaceOf({ subset, variant }: PaperRow, size: number): PaperSpaceOptions {
  if (variant === 'without-diffusion') return { space: 'autoencoder' }
  const plain = variant === 'conditioning' || variant === 'both'
  const ofImagenet = variant !== 'ffhq' && variant !== 'random'
  return {
    diffusion: {
      ...{ steps: size === 256 ? 20 : 10, guidance: 3, checkpoint: 'blocks' },
      ...(plain && { residual: 'none' }),
    },
    ...(ofImagenet && { priorClasses: priorClassesOf(subset) }),
  }
}

/** What the ablations of Tables 7 and 8 change. */
const changesOf = (variant: PaperVariant | undefined): Pick<DistillSettings, 'learn' | 'init'> => ({
  ...(variant === 'conditioning' && { learn: 'conditioning' }),
  ...(variant === 'gaussian' && { init: 'gaussian' }),
})

function matching(objective: PaperObjective, size: number): PaperRecipe['match'] {
  if (objective !== 'mtt') {
    // All 256 of a class at once would take bindings of 2 GiB and more, which few adapters have. The result is the same.
    const microBatch = MAP_BYTES / (4 * WIDTH * size * size)
    // One network an iteration, for every number of images a class, as the authors' scripts have it.
    return () => (objective === 'dm' ? dm : dc)({ microBatch })
  }
  return (experts) => {
    if (!experts)
      throw optionError('This recipe matches trajectories, which need experts.', 'Pass those of trainExperts.')
    return mtt({
      ...{ experts, studentSteps: 10, expertEpochs: 2, maxStartEpoch: 2, studentLearningRate: 0.01 },
      // Of the authors' code, with its lost factor of 2, which their learning rate of 1000 goes with.
      ...{ learnStudentLearningRate: 1e-6, differentiation: 'constant', legacy: ['half-gradient'] },
    })
  }
}
