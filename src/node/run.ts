import type { Device } from '../gpu/index.ts'
import { imageGrid } from '../io/index.ts'
import {
  type Accuracy,
  DistillationStopped,
  type DistilledSet,
  type DistillOptions,
  type DistillProgress,
  distilledToSafetensors,
  type EvaluateProgress,
  type ReportData,
  renderReport,
} from '../ld3m/index.ts'
import { openRunDirectory, type RunDirectory } from './files.ts'
import { bar, formatBytes, formatDuration, ProgressLine } from './progress.ts'

/** Test accuracies by architecture, of training on the distilled images and on as many random real ones. */
export interface AccuracyTable {
  readonly distilled: Readonly<Record<string, Accuracy>>
  readonly randomReal: Readonly<Record<string, Accuracy>>
}

/** What `metrics.json` holds. */
export interface RunMetrics {
  /** How far the run came: 'distilling', 'evaluating', 'finished', or why it stopped. */
  readonly status: string
  readonly adapter: string
  /** Seconds since the run was opened. */
  readonly seconds: number
  readonly iterations: number
  /** The objective's loss at every iteration. */
  readonly loss: readonly number[]
  readonly accuracy: AccuracyTable
  /** The most GPU bytes in use at once. */
  readonly peakBytes: number
}

/** Seconds between saves of the state so far. */
const SAVE_EVERY = 20
const NO_ACCURACY: AccuracyTable = { distilled: {}, randomReal: {} }

/**
 * A distillation's folder and its live display. The folder is readable at any moment: `images.png` (initial and
 * final), `distilled.safetensors`, `config.json`, `metrics.json`, `report.html`.
 */
export class Run {
  /** Fires on Ctrl-C (the first; the second ends the process at once). */
  readonly signal: AbortSignal
  readonly #abort = new AbortController()
  readonly #line = new ProgressLine()
  readonly #started = performance.now()
  #lastSave = performance.now()
  #config: Record<string, unknown> = {}
  #title = ''
  #seen = ''
  #set: DistilledSet | undefined

  constructor(
    readonly directory: RunDirectory,
    readonly device: Device,
  ) {
    this.signal = this.#abort.signal
    process.once('SIGINT', this.#interrupt)
    process.once('SIGTERM', this.#interrupt)
  }

  readonly #interrupt = (): void => {
    this.#line.end()
    process.stdout.write('Stopping after this iteration; the result so far is saved.\n')
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
    if (performance.now() - this.#lastSave > SAVE_EVERY * 1000) {
      await this.#save(await progress.snapshot(), 'distilling', NO_ACCURACY)
      this.#lastSave = performance.now()
    }
  }

  /** Shows each training: pass `onEvaluate('distilled')` to `evaluate`. */
  onEvaluate(what: string): (progress: EvaluateProgress) => void {
    return ({ student, run, accuracy, done, total }) =>
      this.#line.update(
        `evaluating ${bar(done / total)} ${what}: ${student}, run ${run + 1}: ${(100 * accuracy).toFixed(1)} %`,
        done === total,
      )
  }

  /**
   * Waits for a distillation and saves its result, also that of one that stopped early (whose error is thrown on).
   * @param options what `distill` was called with, for config.json
   */
  async record(options: DistillOptions, distillation: Promise<DistilledSet>): Promise<DistilledSet> {
    this.#config = describeOptions(options)
    this.#title = `${options.dataset.name}, distilled with LD3M and ${options.objective.name}`
    this.#seen = options.student?.name ?? 'ConvNet-3'
    try {
      const set = await distillation
      await this.#save(set, 'evaluating', NO_ACCURACY)
      return set
    } catch (error) {
      this.#line.end()
      if (error instanceof DistillationStopped) await this.#save(error.result, error.message, NO_ACCURACY)
      this.close()
      throw error
    }
  }

  /** Saves the accuracies, where there are any, prints them side by side, and closes the run. */
  async finish(accuracy: AccuracyTable = NO_ACCURACY): Promise<void> {
    if (!this.#set) throw new Error('finish: nothing was recorded')
    await this.#save(this.#set, 'finished', accuracy)
    this.close()
    if (accuracy !== NO_ACCURACY) process.stdout.write(`\n${accuracyText(accuracy)}\n\n`)
    process.stdout.write(`Saved to ${this.directory.path} (open report.html).\n`)
  }

  /** Stops listening for Ctrl-C. */
  close(): void {
    process.off('SIGINT', this.#interrupt)
    process.off('SIGTERM', this.#interrupt)
  }

  async #save(set: DistilledSet, status: string, accuracy: AccuracyTable): Promise<void> {
    this.#set = set
    const { directory } = this
    const metrics: RunMetrics = {
      status,
      adapter: this.device.info.description,
      seconds: (performance.now() - this.#started) / 1000,
      iterations: set.loss.length,
      loss: set.loss,
      accuracy,
      peakBytes: this.device.memory.peak,
    }
    await directory.writeJson('config.json', this.#config)
    await directory.writeBytes('distilled.safetensors', distilledToSafetensors(set))
    await directory.writeBytes('images.png', beforeAfter(set))
    await directory.writeHtml('report.html', renderReport(this.#reportData(set, metrics)))
    // Last: whoever finds new metrics finds the files that go with them.
    await directory.writeJson('metrics.json', metrics)
  }

  #reportData(set: DistilledSet, { adapter, seconds, iterations, loss, accuracy }: RunMetrics): ReportData {
    return {
      title: this.#title,
      ...{ adapter, seconds, iterations, loss, accuracy, config: this.#config, classNames: set.classNames },
      images: { initial: set.initialImages, final: set.images, labels: set.labels },
      seenArchitecture: this.#seen,
    }
  }
}

/** Opens (and makes) the folder of a run. */
export const openRun = async (directory: string, device: Device): Promise<Run> =>
  new Run(await openRunDirectory(directory), device)

/** What a run was asked to do, without the data itself. */
function describeOptions(options: DistillOptions): Record<string, unknown> {
  const { dataset, prior, objective, student, signal: _signal, onProgress: _onProgress, ...rest } = options
  const { name, count, channels, height, width, classNames } = dataset
  return {
    ...rest,
    dataset: { name, count, channels, height, width, classNames },
    prior: prior.config,
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
export function accuracyText({ distilled, randomReal }: AccuracyTable): string {
  const show = (a: Accuracy | undefined) => (a ? `${(100 * a.mean).toFixed(1)} ± ${(100 * a.std).toFixed(1)}` : '–')
  const rows = Object.keys(distilled).map((name) => {
    const gain = 100 * ((distilled[name]?.mean ?? Number.NaN) - (randomReal[name]?.mean ?? Number.NaN))
    return [
      name,
      show(distilled[name]),
      show(randomReal[name]),
      Number.isNaN(gain) ? '–' : `${gain > 0 ? '+' : ''}${gain.toFixed(1)}`,
    ]
  })
  const table = [['test accuracy in %', 'distilled', 'random real', 'gain'], ...rows]
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((row) => (row[i] as string).length)))
  return table
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join('   '),
    )
    .join('\n')
}
