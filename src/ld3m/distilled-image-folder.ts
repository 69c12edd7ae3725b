import { dataError } from '../errors.ts'
import { imageGrid } from '../io/index.ts'
import { classFolders } from './class-folders.ts'
import { checkDistilledSet } from './distilled-check.ts'
import type { DistilledSet } from './synthetic.ts'

/**
 * A distilled set as files of a folder that torchvision's ImageFolder reads: `CLASS/i.png` for image i, the classes in the
 * order of their labels, and `distilled.json` with `class_names`, `mean`, `std` and, where it was learned,
 * `student_learning_rate`. Class names become safe file names, with their label in front where the order needs it.
 *
 * Pixels are rounded to 8 bits: x in [0, 1] becomes round(255·x), which is off by 1/510 at most. Learned pixels that left
 * [0, 1] are clamped, so that such a set is better taken as npz or safetensors.
 * @returns bytes by relative path, with slashes
 * @throws Ld3mError `shape`, `data` or `numeric` if the set contradicts itself, or a class has no image
 */
export function distilledToImageFolder(set: DistilledSet): Map<string, Uint8Array<ArrayBuffer>> {
  checkDistilledSet('distilledToImageFolder', set)
  const { images, labels, classNames, normalization, studentLearningRate } = set
  const empty = classNames.findIndex((_, label) => !labels.includes(label))
  if (empty >= 0) {
    throw dataError(
      `distilledToImageFolder: the class '${classNames[empty]}' has no image.`,
      'ImageFolder would number the classes anew; export as npz or safetensors.',
    )
  }
  const [count, ...shape] = images.shape as [number, ...number[]]
  const size = images.data.length / count
  const folders = classFolders(classNames)
  const digits = String(count - 1).length
  const files = new Map<string, Uint8Array<ArrayBuffer>>()
  for (const [i, label] of labels.entries()) {
    const image = images.data.subarray(i * size, (i + 1) * size)
    const png = imageGrid({ images: image, shape: [1, ...shape], padding: 0 })
    files.set(`${folders[label]}/${String(i).padStart(digits, '0')}.png`, png)
  }
  const about = {
    class_names: classNames,
    ...normalization,
    ...(studentLearningRate !== undefined && { student_learning_rate: studentLearningRate }),
  }
  files.set('distilled.json', new TextEncoder().encode(`${JSON.stringify(about, null, 2)}\n`))
  return files
}
