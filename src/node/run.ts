import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { AnyDataset } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { differences, imageGrid } from '../io/index.ts'
import {
  type Accuracy,
  DistillationStopped,
  type DistilledSet,
  type DistillOptions,
  type DistillProgress,
  distilledFromSafetensors,
  distilledToSafetensors,
  type EvaluateOptions,
  evaluate,
  knownNormalization,
  type ReportData,
  randomReal,
  renderReport,
  type TrainingProtocol,
} from '../ld3m/index.ts'
import { openRunDirectory, type RunDirectory, removeLeftovers } from './files.ts'
import { bar, formatBytes, formatDuration, ProgressLine } from './progress.ts'

/** Test accuracies by architecture: of training on the distilled images, and on as many random real ones. */
export interface AccuracyTable {
  readonly distilled: Readonly<Record<string, Accuracy>>
  readonly randomReal: Readonly<Record<string, Accuracy>>
  /** Of training on the whole dataset, where that was asked for. */
  readonly wholeDataset?: Readonly<Record<string, Accuracy>>
}

/** What `metrics.json` holds. */
export interface RunMetrics {
  /** How far the run came: 'distilling', 'evaluating', 'finished', or why it stopped. */
  readonly status: string
  /** What distilled, in one line. */
  readonly adapter: string
  /** Seconds that the run took, all its parts together. */
  readonly seconds: number
  readonly iterations: number
  /** The objective's loss at every iteration. */
  readonly loss: readonly number[]
  readonly accuracy: AccuracyTable
  /** The most GPU bytes in use at once. */
  readonly peakBytes: number
}

/** How to compare a distilled set with real images: options of `evaluate`, and the dataset that was distilled. */
export interface CompareOptions
  extends Pick<EvaluateOptions, 'test' | 'students' | 'runs' | 'seed' | keyof TrainingProtocol> {
  /** Where the random real images come from. */
  readonly train: AnyDataset
  /** Whether to train on all of `train` as well, with the same protocol; what distillation is measured against. Default false. */
  readonly wholeDataset?: boolean
}

export interface RunOptions {
  /** Seconds between saves of the state so far, ≥ 0; a kill loses what was done since the last. Default 20. */
  readonly saveEvery?: number
}

/** What `config.json` holds: the options of `distill`, with names and sizes in place of data. */
interface RunConfig {
  readonly dataset?: { readonly name: string; readonly [size: string]: unknown }
  readonly objective?: { readonly name: string; readonly [option: string]: unknown }
  readonly student?: string
  readonly space?: string
  readonly [option: string]: unknown
}

/** The distilled set. */
const SET = 'distilled.safetensors'
/** What a distillation goes on from; gone once it is done. */
const STATE = 'state.safetensors'
const NO_ACCURACY: AccuracyTable = { distilled: {}, randomReal: {} }

/**
 * A distillation's folder and its live display. Every file is written atomically, so that the folder is readable at any
 * moment, also after a kill: `images.png` (initial and
 * final), `distilled.safetensors`, `config.json`, `metrics.json`, `report.html`; and `state.safetensors`, from which the distillation
 * can go on, until it is done.
 */
export class Run {
  /** Fires on Ctrl-C (the first; the second ends the process at once). */
  readonly signal: AbortSignal
  readonly #abort = new AbortController()
  readonly #line = new ProgressLine()
  readonly #started = performance.now()
  /** What an earlier run left in the folder. */
  #before: Pick<RunMetrics, 'adapter' | 'seconds' | 'peakBytes' | 'accuracy'> | undefined
  readonly #saveEvery: number
  #lastSave = performance.now()
  /** Whatever must be gone before the first save. */
  #cleared: Promise<void> | undefined
  #config: RunConfig = {}
  #set: DistilledSet | undefined

  constructor(
    readonly directory: RunDirectory,
    readonly device: Device,
    options: RunOptions = {},
  ) {
    rejectUnknownOptions('openRun', options, ['saveEvery'])
    this.#saveEvery = options.saveEvery ?? 20
    if (!(this.#saveEvery >= 0)) throw optionError(`openRun: saveEvery is ${this.#saveEvery}.`, 'Use seconds, ≥ 0.')
    this.signal = this.#abort.signal
    process.once('SIGINT', this.#interrupt)
    process.once('SIGTERM', this.#interrupt)
  }

  readonly #interrupt = (): void => {
    // Any second signal has its usual effect.
    this.close()
    this.#line.end()
    process.stdout.write('Stopping; what there is so far will be saved.\n')
    this.#abort.abort()
  }

  /** Shows an iteration and saves the state now and then: pass it to `distill`. */
  readonly onProgress = async (progress: DistillProgress): Promise<void> => {
    const { iteration, iterations, loss, imagesPerSecond, secondsLeft, memory } = progress
    this.#line.update(
      `distilling ${bar(iteration / iterations)} ${iteration}/${iterations}  loss ${loss.toPrecision(4)}  ` +
        `${imagesPerSecond.toFixed(1)} images/s  ${formatBytes(memory.current)} (peak ${formatBytes(memory.peak)})  ` +
        `${formatDuration(secondsLeft)} left`,
      iteration === iterations,
    )
    if (performance.now() - this.#lastSave >= this.#saveEvery * 1000) await this.saveState(progress)
  }

  /** Saves the state and the result so far, which `onProgress` does now and then. */
  async saveState(progress: Pick<DistillProgress, 'save' | 'snapshot'>): Promise<void> {
    await this.#cleared
    await this.directory.writeBytes(STATE, await progress.save())
    await this.#save(await progress.snapshot(), 'distilling', NO_ACCURACY)
    this.#lastSave = performance.now()
  }

  /** Prints something that stays, below the line of progress. */
  say(text: string): void {
    this.#line.end()
    process.stdout.write(`${text}\n`)
  }

  /**
   * Waits for a distillation and saves its result, also that of one that stopped early (whose error is thrown on). What
   * another distillation left in the folder goes, unless this one resumes it.
   * @param options what `distill` was called with, for config.json
   * @param more plain data that belongs there too
   */
  async record(
    options: DistillOptions,
    distillation: Promise<DistilledSet>,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<DistilledSet> {
    this.#config = { ...describeOptions(options), ...more }
    try {
      this.#cleared = this.#clear(options.resume !== undefined)
      const [set] = await Promise.all([distillation, this.#cleared])
      await this.#save(set, 'evaluating', NO_ACCURACY)
      await this.#remove(STATE)
      return set
    } catch (error) {
      this.#line.end()
      this.close()
      if (error instanceof DistillationStopped) {
        // First: metrics without a state are those of a distillation that is done.
        await this.directory.writeBytes(STATE, error.state)
        await this.#saveLast(error.result, error, NO_ACCURACY)
      }
      throw error
    }
  }

  /**
   * Trains students on the distilled images, on as many random real ones and, if asked to, on the whole dataset, all by
   * one protocol (with the learning rate that was distilled, unless `learningRate` states another), saves the accuracies,
   * prints them side by side, and closes the run. Networks that were compared before and are not now keep their rows. If it
   * ends early, what is known by then is saved. Accuracies are fractions, 0…1.
   * @throws Ld3mError as `evaluate` does, `aborted` on Ctrl-C among others
   */
  async compare({ train, wholeDataset = false, ...options }: CompareOptions): Promise<AccuracyTable> {
    const set = this.#recorded('compare')
    const { device, signal } = this
    // A learned rate holds for the real images too, so that the images alone make the difference.
    const { studentLearningRate: learned } = set
    const rate = learned === undefined ? {} : { learningRate: learned }
    if (learned !== undefined && options.learningRate === undefined) {
      this.say(`Networks are trained at the learning rate that was distilled, ${learned.toPrecision(3)}.`)
    }
    const perClass = (set.images.shape[0] as number) / set.classNames.length
    const sources = {
      distilled: { name: 'distilled', train: set },
      randomReal: { name: 'random real', train: (draw: number) => randomReal(train, perClass, draw) },
      wholeDataset: { name: 'whole dataset', train },
    }
    const keys = ['distilled', 'randomReal', ...(wholeDataset ? (['wholeDataset'] as const) : [])] as const
    const accuracy: { -readonly [K in keyof AccuracyTable]: AccuracyTable[K] } = {
      ...(this.#before?.accuracy ?? NO_ACCURACY),
    }
    try {
      for (const key of keys) {
        const onProgress: EvaluateOptions['onProgress'] = ({ student, run, accuracy, done, total }) => {
          const percent = `${student}, run ${run + 1}: ${(100 * accuracy).toFixed(1)} %`
          this.#line.update(`evaluating ${bar(done / total)} ${sources[key].name}: ${percent}`, done === total)
        }
        const protocol = { ...rate, ...options, device, signal, normalization: set.normalization, onProgress }
        accuracy[key] = { ...accuracy[key], ...(await evaluate({ ...protocol, train: sources[key].train })) }
      }
    } catch (error) {
      this.#line.end()
      this.close()
      await this.#saveLast(set, error as Error, accuracy)
      throw error
    }
    this.close()
    await this.#save(set, 'finished', accuracy)
    process.stdout.write(`\n${accuracyText(accuracy)}\n\n`)
    this.#end()
    return accuracy
  }

  /** Closes a run that is not to be compared. */
  async finish(): Promise<void> {
    this.close()
    await this.#save(this.#recorded('finish'), 'finished', this.#before?.accuracy ?? NO_ACCURACY)
    this.#end()
  }

  /** Whether a distillation in the folder was interrupted. */
  get isInterrupted(): boolean {
    return existsSync(this.directory.pathOf(STATE))
  }

  /**
   * Throws unless the folder's distillation was asked for with these options, and of images with the same statistics,
   * where those need no reading of files.
   * @param more what `record` was given
   * @throws Ld3mError `option`, naming those that differ, with both values
   */
  checkOptions(options: DistillOptions, more: Readonly<Record<string, unknown>> = {}): void {
    const normalization = knownNormalization(options.dataset)
    const differing = [
      ...differences(this.#config, JSON.parse(JSON.stringify({ ...describeOptions(options), ...more }))),
      ...(normalization ? differences(this.#recorded('checkOptions').normalization, normalization, 'dataset') : []),
    ]
    if (differing.length === 0) return
    throw optionError(
      `${this.directory.path} holds a run with other options: ${differing.slice(0, 5).join(', ')}.`,
      'Give another folder, or the same options.',
    )
  }

  /**
   * What a distillation that was interrupted goes on from: the option `resume` of `distill`.
   * @throws Ld3mError `data` if there is none in the folder
   */
  async savedState(): Promise<Uint8Array> {
    const path = this.directory.pathOf(STATE)
    try {
      return await readFile(path)
    } catch (cause) {
      const what = `Cannot read ${path}: ${(cause as Error).message}.`
      throw dataError(what, 'Only a distillation that was interrupted has one; start again without it.', cause)
    }
  }

  /** The recorded distillation. */
  get result(): DistilledSet | undefined {
    return this.#set
  }

  /** Takes over what an earlier run left in its folder. */
  static async reopen(directory: string, device: Device, options: RunOptions): Promise<Run> {
    const json = async (name: string) => {
      const text = new TextDecoder().decode(await readRunFile(directory, name))
      try {
        return JSON.parse(text)
      } catch (cause) {
        throw dataError(`${join(directory, name)} is not JSON: ${(cause as Error).message}.`, 'Distil again.', cause)
      }
    }
    const set = await readRunResult(directory)
    const config = await json('config.json')
    const metrics = await json('metrics.json')
    if (!Array.isArray(metrics?.loss) || !metrics.accuracy?.distilled || !metrics.accuracy.randomReal) {
      throw dataError(`${join(directory, 'metrics.json')} is not a run's.`, 'Distil again.')
    }
    const run = await openRun(directory, device, options)
    run.#set = set
    run.#config = config
    run.#before = metrics
    return run
  }

  /** Removes what a killed process left, and an earlier distillation that is not gone on with. */
  async #clear(resumes: boolean): Promise<void> {
    await removeLeftovers(this.directory.path)
    if (resumes) return
    // In this order: without metrics there is nothing to go on with.
    for (const name of ['metrics.json', STATE]) await this.#remove(name)
  }

  async #remove(name: string): Promise<void> {
    await rm(this.directory.pathOf(name), { force: true })
  }

  #recorded(where: string): DistilledSet {
    if (!this.#set) throw new Error(`${where}: nothing was recorded`)
    return this.#set
  }

  #end(): void {
    process.stdout.write(`Saved to ${this.directory.path} (open report.html).\n`)
  }

  /** Stops listening for Ctrl-C. */
  close(): void {
    process.off('SIGINT', this.#interrupt)
    process.off('SIGTERM', this.#interrupt)
  }

  /** Saves what there is after an error, which the caller then throws; a second error is only told. */
  async #saveLast(set: DistilledSet, error: Error, accuracy: AccuracyTable): Promise<void> {
    try {
      await this.#save(set, error.message, accuracy)
    } catch (second) {
      process.stderr.write(`The state so far could not be saved: ${(second as Error).message}\n`)
    }
  }

  async #save(set: DistilledSet, status: string, accuracy: AccuracyTable): Promise<void> {
    this.#set = set
    const { directory } = this
    const metrics: RunMetrics = {
      status,
      adapter: this.#before?.adapter ?? this.device.info.description,
      seconds: (this.#before?.seconds ?? 0) + (performance.now() - this.#started) / 1000,
      iterations: set.loss.length,
      loss: set.loss,
      accuracy,
      peakBytes: Math.max(this.#before?.peakBytes ?? 0, this.device.memory.peak),
    }
    await directory.writeJson('config.json', this.#config)
    await directory.writeBytes(SET, distilledToSafetensors(set))
    await directory.writeBytes('images.png', beforeAfter(set))
    await directory.writeHtml('report.html', renderReport(this.#reportData(set, metrics)))
    // Last: whoever finds new metrics finds the files that go with them.
    await directory.writeJson('metrics.json', metrics)
  }

  #reportData(set: DistilledSet, { status, adapter, seconds, iterations, loss, accuracy }: RunMetrics): ReportData {
    return {
      title: `${this.#config.dataset?.name}, distilled with ${methodOf(this.#config)}`,
      ...{ status, adapter, seconds, iterations, loss, accuracy, config: this.#config, classNames: set.classNames },
      images: { initial: set.initialImages, final: set.images, labels: set.labels },
      seenArchitecture: this.#config.student ?? 'ConvNet-3',
      ...(set.studentLearningRate !== undefined && { studentLearningRate: set.studentLearningRate }),
      file: SET,
    }
  }
}

/** Opens (and makes) the folder of a run. */
export const openRun = async (directory: string, device: Device, options: RunOptions = {}): Promise<Run> =>
  new Run(await openRunDirectory(directory), device, options)

/**
 * Opens the folder of an earlier run, to compare what it distilled.
 * @throws Ld3mError `data` if there is none, or one of its files is broken
 */
export const reopenRun = (directory: string, device: Device, options: RunOptions = {}): Promise<Run> =>
  Run.reopen(directory, device, options)

/**
 * The distilled set that a run has saved in its folder, the last one so far.
 * @throws Ld3mError `data` if there is none, or it is broken
 */
export const readRunResult = async (directory: string): Promise<DistilledSet> =>
  distilledFromSafetensors(await readRunFile(directory, SET))

async function readRunFile(directory: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(join(directory, name))
  } catch (cause) {
    const what = `Cannot read ${join(directory, name)}: ${(cause as Error).message}.`
    throw dataError(what, 'Name the folder of a distillation that has saved something.', cause)
  }
}

/** The objective and where it learns; LD3M's name is that of latent diffusion alone. */
function methodOf({ objective, space }: RunConfig): string {
  if (space === 'pixel') return `${objective?.name} in pixel space`
  return space === 'autoencoder' ? `${objective?.name} in an autoencoder's latents` : `LD3M and ${objective?.name}`
}

/** What a run was asked to do, without the data itself. */
function describeOptions(options: DistillOptions): RunConfig {
  const { dataset, prior, device: _device, objective, student, ...others } = options
  const { signal: _signal, onProgress: _onProgress, resume: _resume, ...rest } = others
  const { name, count, channels, height, width, classNames } = dataset
  return {
    ...rest,
    dataset: { name, count, channels, height, width, classNames },
    ...(prior ? { prior: prior.config } : {}),
    objective: { name: objective.name, ...objective.options },
    ...(student ? { student: student.name } : {}),
  }
}

/** One PNG: the initial images above the final ones, or, with several a class, left and right of a row a class. */
function beforeAfter({ initialImages, images, classNames }: DistilledSet): Uint8Array {
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

/** A table of accuracies in percent, one architecture a row. */
export function accuracyText({ distilled, randomReal, wholeDataset }: AccuracyTable): string {
  const show = (a: Accuracy | undefined) => (a ? `${(100 * a.mean).toFixed(1)} ± ${(100 * a.std).toFixed(1)}` : '–')
  const rows = Object.keys(distilled).map((name) => {
    const gain = 100 * ((distilled[name]?.mean ?? Number.NaN) - (randomReal[name]?.mean ?? Number.NaN))
    return [
      name,
      show(distilled[name]),
      show(randomReal[name]),
      Number.isNaN(gain) ? '–' : `${gain > 0 ? '+' : ''}${gain.toFixed(1)}`,
      ...(wholeDataset ? [show(wholeDataset[name])] : []),
    ]
  })
  const head = ['test accuracy in %', 'distilled', 'random real', 'gain', ...(wholeDataset ? ['whole dataset'] : [])]
  const table = [head, ...rows]
  const widths = head.map((_, i) => Math.max(...table.map((row) => (row[i] as string).length)))
  return table
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('   '),
    )
    .join('\n')
}
