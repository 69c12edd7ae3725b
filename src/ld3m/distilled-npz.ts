import { type NpyArray, writeNpz } from '../io/index.ts'
import { checkDistilledSet } from './distilled-check.ts'
import type { DistilledSet } from './synthetic.ts'

/**
 * What others train on of a distilled set, as NumPy's `.npz`: `images` [M, C, H, W] float32 in [0, 1] (learned pixels may
 * leave it), `labels` [M] int32, `class_names` (text), and `mean` and `std` [C] float32, with which networks see (image − mean)/std;
 * `student_learning_rate` [1], where it was learned. Latents, conditionings and losses are in the safetensors file alone.
 * @throws Ld3mError `shape`, `data` or `numeric` if the set contradicts itself, `option` for a class name that NumPy cannot
 * hold, `data` above 2 GiB
 */
export function distilledToNpz(set: DistilledSet): Uint8Array<ArrayBuffer> {
  checkDistilledSet('distilledToNpz', set)
  const { images, labels, classNames, normalization, studentLearningRate } = set
  const list = (values: readonly number[]): NpyArray => {
    return { dtype: 'F32', shape: [values.length], data: Float32Array.from(values) }
  }
  const arrays = new Map<string, NpyArray>([
    ['images', { dtype: 'F32', ...images }],
    ['labels', { dtype: 'I32', shape: [labels.length], data: labels }],
    ['class_names', classNames],
    ['mean', list(normalization.mean)],
    ['std', list(normalization.std)],
  ])
  if (studentLearningRate !== undefined) arrays.set('student_learning_rate', list([studentLearningRate]))
  return writeNpz(arrays)
}
