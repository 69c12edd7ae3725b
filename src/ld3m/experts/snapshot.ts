import { dataError } from '../../errors.ts'
import { readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../../io/index.ts'
import { checkStateDict, type NamedArrays } from '../../models/index.ts'
import type { ExpertRecipe } from './manifest.ts'
import type { ExpertStore } from './store.ts'

/** An expert's parameters after an epoch (0: before the first), and the epoch's mean training loss. */
export interface Snapshot {
  readonly parameters: NamedArrays
  /** Absent at epoch 0. */
  readonly loss?: number
}

const padded = (n: number, digits: number) => String(n).padStart(digits, '0')

export const snapshotName = (expert: number, epoch: number): string =>
  `expert-${padded(expert, 4)}/epoch-${padded(epoch, 2)}.safetensors`

/** The file's bytes carry their recipe, so that a snapshot that another run left is not taken for one of this. */
export async function writeSnapshot(
  store: ExpertStore,
  recipe: ExpertRecipe,
  name: string,
  { parameters, loss }: Snapshot,
): Promise<void> {
  const tensors = Object.entries(parameters).map(([name, { shape, data }]) => {
    return [name, { dtype: 'F32', shape, data }] as const satisfies [string, StoredTensor]
  })
  const metadata = { recipe: JSON.stringify(recipe), ...(loss === undefined ? {} : { loss: JSON.stringify(loss) }) }
  await store.write(name, writeSafetensors(new Map(tensors), metadata))
}

/**
 * A snapshot of that recipe, or undefined if there is none under the name.
 * @throws Ld3mError `data` if the file is broken, `shape` if its parameters are not the recipe's
 */
export async function readSnapshot(
  store: ExpertStore,
  recipe: ExpertRecipe,
  name: string,
): Promise<Snapshot | undefined> {
  const bytes = await store.read(name)
  if (!bytes) return undefined
  const { tensors, metadata } = readSafetensors(bytes, name)
  if (metadata.recipe !== JSON.stringify(recipe)) return undefined
  const parameters = Object.fromEntries(
    [...tensors].map(([name, stored]) => [name, { shape: stored.shape, data: toFloat32(stored) }]),
  )
  const shapes = Object.entries(recipe.student.parameters).map(([name, shape]) => [name, { shape }])
  checkStateDict(name, { parameters: Object.fromEntries(shapes) }, parameters)
  return { parameters, ...(metadata.loss === undefined ? {} : { loss: Number(metadata.loss) }) }
}

/** The error for a snapshot that a manifest names and a store lacks. */
export const missingSnapshot = (name: string) =>
  dataError(`The experts have no ${name} that was made as their manifest says.`, 'Train them again.')
