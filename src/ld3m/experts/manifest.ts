import * as v from 'valibot'
import { dataError, shapeError } from '../../errors.ts'
import { differences } from '../../io/index.ts'
import type { Student } from '../../models/index.ts'
import { differingLabel } from '../check-classes.ts'
import type { Normalization } from '../normalization.ts'
import { studentIdentity } from '../student-identity.ts'
import type { ExpertStore } from './store.ts'

export const MANIFEST = 'manifest.json'
const FORMAT = 'ld3m-gpu experts, version 2'

const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const finite = v.pipe(v.number(), v.finite())
const rate = v.pipe(finite, v.minValue(0))

const recipeSchema = v.strictObject({
  dataset: v.strictObject({
    name: v.string(),
    count,
    classNames: v.array(v.pipe(v.string(), v.normalize('NFC'))),
    /** Checksum of some of them, `imagesIdentity`. */
    images: v.string(),
  }),
  /** Networks saw (image − mean)/std. */
  normalization: v.strictObject({ mean: v.array(finite), std: v.array(finite) }),
  student: v.strictObject({
    name: v.string(),
    /** [C, H, W] of the images. */
    inputShape: v.array(count),
    /** Shapes by name. */
    parameters: v.record(v.string(), v.array(count)),
    hyperparameters: v.optional(v.record(v.string(), finite)),
  }),
  training: v.strictObject({
    epochs: count,
    batch: count,
    learningRate: rate,
    momentum: rate,
    weightDecay: rate,
    augmentation: v.array(v.string()),
    seed: v.pipe(v.number(), v.integer(), v.minValue(0)),
  }),
})

/** What experts were trained on and how: all that their bits follow from. */
export type ExpertRecipe = v.InferOutput<typeof recipeSchema>

const manifestSchema = v.strictObject({
  format: v.literal(FORMAT),
  ...recipeSchema.entries,
  /** Finished experts. */
  experts: v.array(
    v.strictObject({
      /** Parameters after 0, 1, …, `epochs` epochs: names of safetensors files. */
      files: v.array(v.string()),
      /** Mean training loss of each epoch. */
      loss: v.array(finite),
    }),
  ),
})

/** The list of contents of a folder of experts, JSON. */
export type ExpertManifest = v.InferOutput<typeof manifestSchema>

export const newManifest = (recipe: ExpertRecipe): ExpertManifest => ({ format: FORMAT, ...recipe, experts: [] })

export async function writeManifest(store: ExpertStore, manifest: ExpertManifest): Promise<void> {
  await store.write(MANIFEST, new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 1)}\n`))
}

/**
 * The manifest of a store, or undefined where there is none.
 * @throws Ld3mError `data` if it is not one
 */
export async function readManifest(store: ExpertStore): Promise<ExpertManifest | undefined> {
  const bytes = await store.read(MANIFEST)
  if (!bytes) return undefined
  const fix = 'Use what trainExperts saved.'
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw dataError(`The experts' ${MANIFEST} is not JSON.`, fix, cause)
  }
  const result = v.safeParse(manifestSchema, json)
  if (!result.success) {
    const issues = result.issues.map((i) => `${v.getDotPath(i)}: ${i.message}`).join('; ')
    throw dataError(`The experts' ${MANIFEST} does not fit: ${issues}.`, fix)
  }
  const { training, experts } = result.output
  const short = experts.findIndex(({ files }) => files.length !== training.epochs + 1)
  if (short >= 0) {
    throw dataError(
      `The experts' ${MANIFEST} names ${experts[short]?.files.length} files of expert ${short}, for ${training.epochs} ` +
        `epochs there are ${training.epochs + 1}.`,
      fix,
    )
  }
  return result.output
}

/** Where experts are to be of use. */
interface Guided {
  readonly student: Student
  readonly classNames: readonly string[]
  /** Of the images; undefined where it is not known. */
  readonly normalization: Normalization | undefined
}

/**
 * Throws unless experts can guide this student on images of these classes that are normalised this way.
 * @throws Ld3mError `shape`; `data` if they saw other classes, or the same in another order
 */
export function checkExperts(
  where: string,
  { student: expert, dataset, normalization }: ExpertRecipe,
  { student, classNames, normalization: images }: Guided,
): void {
  if (differences(expert.inputShape, student.inputShape).length > 0) {
    throw shapeError(
      `${where}: the experts saw images of ${expert.inputShape.join('×')}; the student takes ` +
        `${student.inputShape.join('×')}.`,
      'Train experts on images of that size, or use the dataset that they saw.',
    )
  }
  const own = studentIdentity(student)
  const names = [...Object.keys(expert.parameters), ...Object.keys(own.parameters)]
  const differs = names.find((name) => `${expert.parameters[name]}` !== `${own.parameters[name]}`)
  if (differs !== undefined) {
    const shape = (of: number[] | undefined) => (of ? `[${of.join(', ')}]` : 'missing')
    throw shapeError(
      `${where}: the experts are of another network: ${differs} of their ${expert.name} is ` +
        `${shape(expert.parameters[differs])}, of the student ${student.name} it is ${shape(own.parameters[differs])}.`,
      'Pass the student that the experts were trained with.',
    )
  }
  const [other] = differences(expert.hyperparameters ?? {}, own.hyperparameters ?? {})
  if (other !== undefined) {
    throw shapeError(
      `${where}: the experts are ${expert.name} of other hyperparameters: ${other}.`,
      'Pass the student that the experts were trained with.',
    )
  }
  const label = differingLabel(dataset.classNames, classNames)
  if (label !== undefined) {
    const [own, theirs] = [classNames, dataset.classNames].map((of) => of[label] ?? 'none')
    throw dataError(
      `${where}: class ${label} is '${own}', for the experts it was '${theirs}'.`,
      'Train the experts on the dataset that is distilled, or select its classes in their order.',
    )
  }
  const spell = ({ mean, std }: Normalization) => `mean ${mean.join(', ')} and std ${std.join(', ')}`
  if (images && differences(normalization, images).length > 0) {
    throw shapeError(
      `${where}: the experts saw images normalised by ${spell(normalization)}; the dataset has ${spell(images)}.`,
      'Train the experts on the dataset that is distilled.',
    )
  }
}
