/**
 * Sizes that a kernel divides indices by (`quotient` in WGSL): as they are, or their logarithms where all are powers of
 * two, as in most networks. On software adapters a shift makes a broadcasting sum twice as fast as divisions.
 */
export function divisors<K extends string>(
  sizes: Readonly<Record<K, number>>,
): { readonly SHIFT: boolean; readonly sizes: Readonly<Record<K, number>> } {
  const shifts: Record<K, number> = { ...sizes }
  for (const name in sizes) {
    const size = sizes[name]
    if (size <= 0 || (size & (size - 1)) !== 0) return { SHIFT: false, sizes }
    shifts[name] = 31 - Math.clz32(size)
  }
  return { SHIFT: true, sizes: shifts }
}
