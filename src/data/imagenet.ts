import { IMAGENET_CLASSES, type ImagenetClass } from './imagenet-classes.ts'

/** Statistics of ImageNet's training images in [0, 1], as networks for it are commonly given them. */
export const IMAGENET_STATISTICS = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const

/**
 * The subsets of ten ImageNet classes that distillation is measured on: A to E of Cazenavette et al. 2023 (GLaD), the
 * others of Howard (imagenette, imagewoof) and Cazenavette et al. 2022 (MTT). Label k is the k-th id.
 */
export const IMAGENET_SUBSETS = {
  'imagenet-a': [255, 376, 984, 364, 500, 986, 333, 576, 148, 135],
  'imagenet-b': [129, 916, 90, 275, 995, 874, 102, 259, 685, 139],
  'imagenet-c': [565, 94, 554, 535, 92, 392, 291, 136, 324, 11],
  'imagenet-d': [9, 258, 13, 262, 19, 339, 321, 24, 93, 322],
  'imagenet-e': [816, 96, 100, 145, 739, 713, 783, 76, 688, 326],
  imagenette: [0, 217, 482, 491, 497, 566, 569, 571, 574, 701],
  imagewoof: [193, 182, 258, 162, 155, 167, 159, 273, 207, 229],
  imagesquawk: [84, 130, 88, 144, 145, 22, 96, 9, 100, 89],
  imagefruit: [953, 954, 949, 950, 951, 957, 952, 945, 943, 948],
  imagemeow: [281, 282, 283, 284, 285, 291, 292, 290, 289, 287],
} as const satisfies Readonly<Record<string, readonly number[]>>

export type ImagenetSubset = keyof typeof IMAGENET_SUBSETS

/** The ten classes of a subset, by label. */
export const imagenetSubset = (name: ImagenetSubset): ImagenetClass[] =>
  IMAGENET_SUBSETS[name].map((id) => IMAGENET_CLASSES[id]!)

/** How Hugging Face spells classes that share their first name with another one. */
const ALIASES = { crane: 134, crane2: 517, 'maillot, tank suit': 639 } as const

/**
 * The ImageNet class that a name means: its WordNet id (`n01440764`), its name in `IMAGENET_CLASSES` (`tench`) or on Hugging
 * Face (`crane2`), or a list of names that begins with it ("tench, Tinca tinca").
 */
export function imagenetClass(name: string): ImagenetClass | undefined {
  byName ??= new Map([
    ...IMAGENET_CLASSES.flatMap((known) => [[known.wnid, known] as const, [known.name, known] as const]),
    ...Object.entries(ALIASES).map(([alias, id]) => [alias, IMAGENET_CLASSES[id]!] as const),
  ])
  return byName.get(name) ?? byName.get(name.split(', ', 1)[0]!)
}

let byName: Map<string, ImagenetClass> | undefined

/**
 * The ImageNet label of each class, where all of them are ImageNet's; else undefined. What a prior trained on ImageNet
 * takes as `priorClasses`.
 */
export function imagenetIds(classNames: readonly string[]): number[] | undefined {
  const ids = classNames.map((name) => imagenetClass(name)?.id)
  return ids.includes(undefined) ? undefined : (ids as number[])
}
