import { HostRandom, noGrad, scope, tensor } from '../autograd/index.ts'
import { type AnyDataset, indicesByClass, readImages, toUnit } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions, shapeError } from '../errors.ts'
import type { HostTensor } from '../models/index.ts'
import { differingLabel } from './check-classes.ts'
import { chunksOf } from './chunks.ts'
import { fromSigned, toSigned } from './normalization.ts'
import { atLeastOne, seedOf } from './options.ts'
import type { Prior } from './prior.ts'

/** Images whose reconstructions are measured. */
const MEASURED = 64
/** Classes that a picture shows. */
const SHOWN = 10
/** Pixels that pass through an autoencoder at once: 64 images of 32×32. */
const PIXELS = 64 * 32 * 32

export interface JudgePriorOptions {
  /** The same seed chooses the same images and classes. Default 0. */
  seed?: number
}

/** How good a prior is, as far as a number and a picture tell. */
export interface PriorJudgement {
  /** Images that were measured. */
  readonly count: number
  /** Of their reconstructions, in dB. */
  readonly psnr: number
  /**
   * A column for each of up to ten classes, and three rows: an image of the class, its reconstruction, and a sample of the
   * class from noise (of none where the prior is unconditional). [3 · columns, C, H, W] in [0, 1].
   */
  readonly picture: HostTensor
  readonly columns: number
}

/**
 * Judges a prior by images of the dataset that it was trained on, or of one with the same classes in the same order: how
 * well its autoencoder gives back 64 of them, and what it draws of up to ten classes. An unconditional prior takes images
 * of any classes.
 * @throws Ld3mError `shape` if the images are not of the prior's size; `data` if the classes differ; `option` for a seed
 * that is none
 */
export async function judgePrior(
  prior: Prior,
  dataset: AnyDataset,
  options: JudgePriorOptions = {},
): Promise<PriorJudgement> {
  rejectUnknownOptions('judgePrior', options, ['seed'])
  const seed = seedOf('judgePrior', options.seed ?? 0)
  checkClasses(prior, dataset)
  const random = new HostRandom({ seed, stream: 4 })
  const measured = random.fork('measured').shuffle(dataset.count).slice(0, MEASURED).sort()
  const { real, decoded } = await reconstruct(prior, dataset, measured)

  const byClass = indicesByClass(dataset)
  const present = byClass.flatMap(({ length }, id) => (length > 0 ? [id] : []))
  const places = random.fork('classes').shuffle(present.length).slice(0, SHOWN).sort()
  const classIds = Array.from(places, (i) => present[i] as number)
  const images = random.fork('images')
  const shown = classIds.map((id) => byClass[id]?.[images.integer(byClass[id].length)] as number)
  const columns = await reconstruct(prior, dataset, shown)
  const drawn = prior.conditional
    ? await sampleClasses(prior, classIds)
    : await prior.sample({ count: classIds.length, seed })
  return {
    count: measured.length,
    psnr: psnr(real, decoded),
    picture: joined([columns.real, columns.decoded, drawn]),
    columns: classIds.length,
  }
}

/** Throws unless labels stand for the prior's classes. */
function checkClasses({ config, conditional }: Prior, { classNames }: AnyDataset): void {
  if (!conditional) return
  const names = config.classNames ?? Array.from({ length: config.classes }, (_, id) => String(id))
  const label = differingLabel(names, classNames)
  if (label === undefined) return
  const [own, other] = [names, classNames].map((list) => list[label] ?? 'none')
  throw dataError(
    `judgePrior: class ${label} is '${own}' in the prior, and '${other}' in the dataset.`,
    "Open the dataset with the prior's classes in their order (`classes`).",
  )
}

/**
 * Images of a dataset, and what comes back of them through a prior's autoencoder; both [N, C, H, W] in [0, 1].
 * @throws Ld3mError `shape` if they are not of the prior's size; `option` without indices
 */
export async function reconstruct(
  prior: Prior,
  dataset: AnyDataset,
  indices: ArrayLike<number>,
): Promise<{ real: HostTensor; decoded: HostTensor }> {
  if (indices.length === 0) throw optionError('reconstruct: indices is empty.', 'Give at least one image.')
  const { channels, height, width } = dataset
  const chunk = Math.max(1, Math.floor(PIXELS / (height * width)))
  const [real, decoded]: [HostTensor[], HostTensor[]] = [[], []]
  for (const range of chunksOf(indices.length, chunk)) {
    const chosen = Array.from(indices).slice(...range)
    const shape = [chosen.length, channels, height, width]
    const data = toUnit(await readImages(dataset, chosen))
    const images = scope(() =>
      noGrad(() => fromSigned(prior.decode(prior.encode(toSigned(tensor(prior.device, data, { shape })))))),
    )
    real.push({ shape, data })
    decoded.push({ shape, data: await images.read() })
    images.dispose()
  }
  return { real: joined(real), decoded: joined(decoded) }
}

/**
 * Samples of classes from noise, `rows` of each: [rows · classes, C, H, W] in [0, 1], a sample of each class after the
 * other. A class is the seed of its own.
 * @throws Ld3mError `option` without classes, or for one that the prior does not have
 */
export async function sampleClasses(prior: Prior, classIds: readonly number[], rows = 1): Promise<HostTensor> {
  if (classIds.length === 0) throw optionError('sampleClasses: classIds is empty.', 'Give at least one class.')
  atLeastOne('sampleClasses', 'rows', rows)
  const drawn: HostTensor[] = []
  for (const classId of classIds) drawn.push(await prior.sample({ classId, count: rows, seed: classId }))
  return joined(Array.from({ length: rows }, (_, row) => drawn.map((images) => imageOf(images, row))).flat())
}

/**
 * Peak signal-to-noise ratio of images in [0, 1], in dB: −10 log₁₀ of their mean squared difference; Infinity where there
 * is none.
 */
export function psnr(a: HostTensor, b: HostTensor): number {
  if (a.data.length !== b.data.length) {
    throw shapeError(`psnr: the images are [${a.shape}] and [${b.shape}].`, 'Give images of one shape.')
  }
  let squares = 0
  for (const [i, value] of a.data.entries()) squares += (value - (b.data[i] as number)) ** 2
  return -10 * Math.log10(squares / a.data.length)
}

/** One of a batch of images, [1, C, H, W]. */
function imageOf({ shape, data }: HostTensor, i: number): HostTensor {
  const size = data.length / (shape[0] as number)
  return { shape: [1, ...shape.slice(1)], data: data.subarray(i * size, (i + 1) * size) }
}

/** Batches of images of one size, one after the other. */
function joined(batches: readonly HostTensor[]): HostTensor {
  const data = new Float32Array(batches.reduce((n, batch) => n + batch.data.length, 0))
  let [at, count] = [0, 0]
  for (const batch of batches) {
    data.set(batch.data, at)
    at += batch.data.length
    count += batch.shape[0] as number
  }
  return { shape: [count, ...(batches[0] as HostTensor).shape.slice(1)], data }
}
