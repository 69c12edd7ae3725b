// What a run's record says of its options, and how it shows its images.
import { imageGrid } from '../io/index.ts'
import { type DistilledSet, type DistillOptions, describeDistill } from '../ld3m/index.ts'
import { networkRecord } from './network-record.ts'

/** What `config.json` holds: the options of `distill` with their defaults, and names and sizes in place of data. */
export interface RunConfig {
  readonly dataset?: { readonly name: string; readonly [size: string]: unknown }
  readonly objective?: { readonly name: string; readonly [option: string]: unknown }
  readonly student?: string
  readonly space?: string
  readonly [option: string]: unknown
}

/** What a run was asked to do, without the data itself. */
export async function describeOptions(options: DistillOptions): Promise<RunConfig> {
  const { dataset, prior, objective, student } = options
  const { name, count, channels, height, width, classNames } = dataset
  return {
    dataset: { name, count, channels, height, width, classNames },
    objective: { name: objective.name, ...objective.options },
    ...describeDistill(options),
    ...(student && { student: student.name, network: await networkRecord(student) }),
    ...(prior && { prior: { ...prior.config, ...(await prior.identity()) } }),
  }
}

/** The objective and where it learns; LD3M's name is that of latent diffusion alone. */
export function methodOf({ objective, space }: RunConfig): string {
  if (space === 'pixel') return `${objective?.name} in pixel space`
  return space === 'autoencoder' ? `${objective?.name} in an autoencoder's latents` : `LD3M and ${objective?.name}`
}

/** One PNG: the initial images above the final ones, or, with several a class, left and right of a row a class. */
export function beforeAfter({ initialImages, images, classNames }: DistilledSet): Uint8Array {
  const [count, ...shape] = images.shape as [number, ...number[]]
  const size = shape.reduce((a, b) => a * b, 1)
  const perClass = count / classNames.length
  const rows = perClass === 1 ? 1 : classNames.length
  const perRow = count / rows
  const both = new Float32Array(2 * images.data.length)
  for (let row = 0; row < rows; row++) {
    const part = (data: Float32Array) => data.subarray(row * perRow * size, (row + 1) * perRow * size)
    both.set(part(initialImages.data), 2 * row * perRow * size)
    both.set(part(images.data), (2 * row + 1) * perRow * size)
  }
  const scale = Math.max(1, Math.round(96 / (shape[2] as number)))
  return imageGrid({
    images: both,
    shape: [2 * count, ...shape],
    columns: perClass === 1 ? count : 2 * perClass,
    scale,
    padding: 4,
  })
}
