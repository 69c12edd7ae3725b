import { dataError } from '../../errors.ts'
import type { NamedArrays } from '../../models/index.ts'
import { type ExpertManifest, type ExpertRecipe, MANIFEST, readManifest } from './manifest.ts'
import { missingSnapshot, readSnapshot } from './snapshot.ts'
import type { ExpertStore } from './store.ts'

/** Trained experts: trajectories of a student's parameters, an entry an epoch. */
export interface Experts {
  readonly manifest: ExpertManifest
  /** Finished experts, ≥ 1. */
  readonly count: number
  /**
   * Parameters of expert 0…count − 1 after `epoch` epochs, 0…epochs.
   * @throws Ld3mError `data` if the file is missing, broken or of another training
   */
  snapshot(expert: number, epoch: number): Promise<NamedArrays>
}

/**
 * Opens what `trainExperts` saved; only the manifest is read now.
 * @throws Ld3mError `data` if there is no finished expert, or the manifest is broken
 */
export async function openExperts(store: ExpertStore): Promise<Experts> {
  const manifest = await readManifest(store)
  if (!manifest || manifest.experts.length === 0) {
    const what = manifest ? 'no finished expert' : `no ${MANIFEST}`
    throw dataError(`There is ${what} where experts should be.`, 'Make some with trainExperts or `ld3m-gpu experts`.')
  }
  const { format: _format, experts, ...recipe } = manifest
  return {
    manifest,
    count: experts.length,
    async snapshot(expert, epoch) {
      const name = experts[expert]?.files[epoch]
      if (name === undefined) {
        throw dataError(
          `There is no epoch ${epoch} of expert ${expert}.`,
          `Ask for experts below ${experts.length} and epochs up to ${recipe.training.epochs}.`,
        )
      }
      const found = await readSnapshot(store, recipe satisfies ExpertRecipe, name)
      if (!found) throw missingSnapshot(name)
      return found.parameters
    },
  }
}
