/** Mean of four unseen architectures and its deviation, percent: LD3M's rows of Table 4, for DC and DM, A to E. */
const TABLE_4 = {
  dc: [
    [55.2, 1.0],
    [51.8, 1.4],
    [49.9, 1.3],
    [39.5, 1.0],
    [39.0, 1.3],
  ],
  dm: [
    [57.0, 1.3],
    [52.3, 1.1],
    [48.2, 4.9],
    [39.5, 1.5],
    [39.4, 1.8],
  ],
} as const

/**
 * Accuracies of the paper by the names of its rows, where this project could read them: all of Table 4, and of Table 2 the
 * one cell that others quote. The cells of the other tables were not to be had.
 */
export const PUBLISHED_ACCURACIES: Readonly<Record<string, { readonly mean: number; readonly std?: number }>> = {
  'table2-cifar-10-mtt-ipc50': { mean: 73.2 },
  ...Object.fromEntries(
    Object.entries(TABLE_4).flatMap(([objective, cells]) =>
      cells.map(([mean, std], i) => [`table4-imagenet-${'abcde'[i]}-${objective}`, { mean, std }]),
    ),
  ),
}
