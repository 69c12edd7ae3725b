import { HostRandom, type Tensor, tensor } from '../autograd/index.ts'
import { type AnyDataset, indicesByClass, isStreamed, readImages, type StreamedDataset, toUnit } from '../data/index.ts'
import { dataError, Ld3mError } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { imageBatch, type Normalization, normalize } from './normalization.ts'

export interface RealImagesOptions {
  /** Images a class and batch, at most; a class that has fewer gives all of them. */
  readonly batch: number
  /** Batches of each class that an iteration may ask for. */
  readonly batches: number
  readonly seed: number
  /** Iterations in all. */
  readonly iterations: number
}

/**
 * The real images of a run. An objective asks for them synchronously; those of a streamed dataset are read before the
 * iteration begins, and the next iteration's while the GPU works. Which images a batch holds follows from the seed, the
 * iteration, the class and the number of the batch, for every kind of dataset alike.
 */
export class RealImages {
  readonly #dataset: AnyDataset
  readonly #options: RealImagesOptions
  readonly #byClass: readonly ArrayLike<number>[]
  #iteration = 0
  /** Batches of each class that this iteration has asked for. */
  #asked: number[] = []
  /** This iteration's images where they are streamed: bytes of each batch, by class. */
  #bytes: readonly (readonly Uint8Array[])[] = []
  #ahead: { readonly iteration: number; readonly bytes: Promise<Uint8Array[][]> } | undefined

  constructor(dataset: AnyDataset, options: RealImagesOptions) {
    this.#dataset = dataset
    this.#options = options
    this.#byClass = indicesByClass(dataset)
    const empty = this.#byClass.findIndex(({ length }) => length === 0)
    if (empty >= 0) {
      throw dataError(
        `Class '${dataset.classNames[empty]}' of '${dataset.name}' has no images.`,
        'Add some, or leave the class out with selectClasses.',
      )
    }
  }

  /** Different images of each class, drawn once for the run, [classes · imagesPerClass, C, H, W] in [0, 1]. */
  async initial(imagesPerClass: number): Promise<Float32Array> {
    const draws = new HostRandom({ seed: this.#options.seed, stream: 0 }).fork('initial images')
    const { classNames } = this.#dataset
    const chosen = this.#byClass.flatMap((of, k) => pick(of, imagesPerClass, classNames[k] as string, draws))
    return toUnit(await readImages(this.#dataset, chosen))
  }

  /**
   * Makes the images of an iteration ready.
   * @throws Ld3mError `data` if one cannot be read
   */
  async prepare(iteration: number): Promise<void> {
    this.#begin(iteration)
    if (!isStreamed(this.#dataset)) return
    const ahead = this.#ahead?.iteration === iteration ? this.#ahead.bytes : this.#read(this.#dataset, iteration)
    this.#bytes = await ahead
    this.#ahead = undefined
    if (iteration + 1 < this.#options.iterations) {
      const bytes = this.#read(this.#dataset, iteration + 1)
      // Whoever waits for the next iteration is told; until then nobody is.
      bytes.catch(() => undefined)
      this.#ahead = { iteration: iteration + 1, bytes }
    }
  }

  /** Stands in for `prepare` in a plan of memory, which cannot wait: as many images, with nothing in them. */
  rehearse(iteration: number): void {
    this.#begin(iteration)
    const { channels, height, width } = this.#dataset
    this.#bytes = this.#byClass.map((_, k) => {
      const empty = new Uint8Array(this.#size(k) * channels * height * width)
      return new Array<Uint8Array>(this.#options.batches).fill(empty)
    })
  }

  /** The next batch of a class, normalised: [n, C, H, W]. */
  batch(device: Device, k: number, normalization: Normalization): Tensor {
    const n = this.#asked[k] as number
    this.#asked[k] = n + 1
    if (!isStreamed(this.#dataset)) {
      return normalize(imageBatch(device, this.#dataset, this.#chosen(this.#iteration, k, n)), normalization)
    }
    const bytes = this.#bytes[k]?.[n]
    if (!bytes) {
      throw new Ld3mError(
        'option',
        `The objective asked for ${n + 1} batches of real images of one class, but states ${this.#options.batches}.`,
        'State realBatches: a streamed dataset is read before the iteration begins.',
      )
    }
    const { channels, height, width } = this.#dataset
    const images = tensor(device, toUnit(bytes), { shape: [this.#size(k), channels, height, width] })
    return normalize(images, normalization)
  }

  #begin(iteration: number): void {
    this.#iteration = iteration
    this.#asked = this.#byClass.map(() => 0)
  }

  /** Images in a batch of a class. */
  #size(k: number): number {
    return Math.min((this.#byClass[k] as ArrayLike<number>).length, this.#options.batch)
  }

  #chosen(iteration: number, k: number, n: number): number[] {
    const { seed } = this.#options
    const draws = new HostRandom({ seed, stream: 0 }).fork(`iteration ${iteration}`).fork(`batch ${n} of class ${k}`)
    return pick(this.#byClass[k] as ArrayLike<number>, this.#size(k), this.#dataset.classNames[k] as string, draws)
  }

  /** All batches of an iteration, read at once so that the decoder is never idle. */
  async #read(dataset: StreamedDataset, iteration: number): Promise<Uint8Array[][]> {
    const { batches } = this.#options
    const chosen = this.#byClass.map((_, k) => Array.from({ length: batches }, (_, n) => this.#chosen(iteration, k, n)))
    const all = await dataset.read(chosen.flat(2))
    const bytes = dataset.channels * dataset.height * dataset.width
    let at = 0
    return chosen.map((ofClass) => ofClass.map((batch) => all.subarray(at * bytes, (at += batch.length) * bytes)))
  }
}

/** `count` different entries of `from`, at random. */
export function pick(from: ArrayLike<number>, count: number, className: string, draws: HostRandom): number[] {
  if (from.length < count) {
    throw dataError(
      `Class '${className}' has ${from.length} images; ${count} are needed.`,
      'Add images to the class, or ask for fewer.',
    )
  }
  const order = draws.shuffle(from.length)
  return Array.from({ length: count }, (_, i) => from[order[i] as number] as number)
}
