import { areClassesNamed } from '../data/index.ts'

/**
 * The first label that does not stand for the same in both lists of classes; none where one of the two has no names (files
 * of IDX) and as many classes.
 */
export function differingLabel(some: readonly string[], others: readonly string[]): number | undefined {
  const shorter = Math.min(some.length, others.length)
  const named = areClassesNamed(some) && areClassesNamed(others)
  const differs = named ? some.findIndex((name, label) => name !== others[label]) : -1
  if (differs >= 0) return differs
  return some.length === others.length ? undefined : shorter
}
