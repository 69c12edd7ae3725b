import { dataError } from '../errors.ts'
import { readSafetensors, type StoredTensor, toFloat32, writeSafetensors } from '../io/index.ts'
import type { HostTensor } from '../models/index.ts'
import { checkDistilledSet } from './distilled-check.ts'
import type { DistilledSet } from './synthetic.ts'

const LEARNING_RATE = 'student_learning_rate'

/**
 * A distilled set as one safetensors file that any framework can read: `images` [M, C, H, W] in [0, 1] (learned pixels may
 * leave it), `labels` [M], `initial_images`, and `mean` and `std` [C], with which networks see (image − mean)/std; `latents`
 * and `conditioning`, in the spaces that have them; `student_learning_rate` [1], where it was learned. Class names and losses are JSON in the metadata.
 */
export function distilledToSafetensors(set: DistilledSet): Uint8Array {
  const f32 = ({ shape, data }: HostTensor): StoredTensor => ({ dtype: 'F32', shape, data })
  const list = (values: readonly number[]) => f32({ shape: [values.length], data: Float32Array.from(values) })
  const tensors = new Map<string, StoredTensor>([
    ['images', f32(set.images)],
    ['initial_images', f32(set.initialImages)],
    ['labels', { dtype: 'I32', shape: [set.labels.length], data: set.labels }],
    ['mean', list(set.normalization.mean)],
    ['std', list(set.normalization.std)],
  ])
  const { latents, conditioning, studentLearningRate } = set
  if (latents) tensors.set('latents', f32(latents))
  if (conditioning) tensors.set('conditioning', f32(conditioning))
  if (studentLearningRate !== undefined) tensors.set(LEARNING_RATE, list([studentLearningRate]))
  return writeSafetensors(tensors, {
    format: 'ld3m-gpu distilled set',
    class_names: JSON.stringify(set.classNames),
    loss: JSON.stringify(set.loss),
  })
}

/**
 * Reads a file that `distilledToSafetensors` made.
 * @throws Ld3mError `data` if it is not one; `shape`, `data` or `numeric` if the set contradicts itself
 */
export function distilledFromSafetensors(bytes: Uint8Array): DistilledSet {
  const { tensors, metadata } = readSafetensors(bytes, 'the distilled set')
  const get = (name: string): StoredTensor => {
    const tensor = tensors.get(name)
    if (!tensor) throw dataError(`The distilled set has no tensor '${name}'.`, 'Use a file that distill saved.')
    return tensor
  }
  const f32 = (name: string): HostTensor => ({ shape: get(name).shape, data: toFloat32(get(name)) })
  const list = (name: string, of: 'string' | 'number'): unknown[] => {
    const fix = 'Use a file that distill saved.'
    let items: unknown
    try {
      items = JSON.parse(metadata[name] as string)
    } catch (cause) {
      throw dataError(`The distilled set's metadata '${name}' is not JSON.`, fix, cause)
    }
    if (Array.isArray(items) && items.every((item) => typeof item === of)) return items
    throw dataError(`The distilled set's metadata '${name}' is no list of ${of}s.`, fix)
  }
  const labels = get('labels').data
  if (!(labels instanceof Int32Array)) throw dataError("The distilled set's labels are not I32.", 'Save them as I32.')
  const set: DistilledSet = {
    images: f32('images'),
    initialImages: f32('initial_images'),
    ...(tensors.has('latents') && { latents: f32('latents') }),
    ...(tensors.has('conditioning') && { conditioning: f32('conditioning') }),
    labels,
    classNames: (list('class_names', 'string') as string[]).map((name) => name.normalize('NFC')),
    normalization: { mean: [...f32('mean').data], std: [...f32('std').data] },
    loss: list('loss', 'number') as number[],
    ...(tensors.has(LEARNING_RATE) ? { studentLearningRate: f32(LEARNING_RATE).data[0] as number } : {}),
  }
  checkDistilledSet('the distilled set', set)
  return set
}
