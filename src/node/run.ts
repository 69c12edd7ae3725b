import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import type { AnyDataset } from '../data/index.ts'
import { dataError, optionError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import { differences } from '../io/index.ts'
import {
  checkEvaluation,
  DistillationStopped,
  type DistilledSet,
  type DistillOptions,
  type DistillProgress,
  distilledToSafetensors,
  type EvaluateProgress,
  type Evaluation,
  evaluate,
  knownNormalization,
  type ReportData,
  randomReal,
  renderReport,
} from '../ld3m/index.ts'
import { accuracyText } from './accuracy-text.ts'
import { openRunDirectory, type RunDirectory, removeLeftovers } from './files.ts'
import { type StopSignal, stopSignal } from './interrupt.ts'
import { bar, formatBytes, formatDuration, ProgressLine } from './progress.ts'
import { RunAccuracies } from './run-accuracies.ts'
import { beforeAfter, describeOptions, methodOf, type RunConfig } from './run-description.ts'
import { type AccuracyTable, describeEvaluation } from './run-evaluation.ts'
import {
  checkRunFolder,
  type RunMetrics,
  readRunConfig,
  readRunMetrics,
  readRunResult,
  SET_FILE,
} from './run-folder.ts'
import { lockFolder } from './run-lock.ts'
import { trajectoryAdvice } from './trajectory-advice.ts'

/** How to compare a distilled set with real images: options of `evaluate`, and the dataset that was distilled. */
export interface CompareOptions extends Evaluation {
  /** Where the random real images come from. */
  readonly train: AnyDataset
  /** Whether to train on all of `train` as well, with the same protocol; what distillation is measured against. Default false. */
  readonly wholeDataset?: boolean
}

/**
 * Throws unless `compare` can be called so: before hours of distilling, not after.
 * @throws Ld3mError as `evaluate` does: `option`, `shape` or `data`
 */
export function checkCompare({ train, wholeDataset: _whole, ...evaluation }: CompareOptions): void {
  checkEvaluation(evaluation, train)
}

export interface RunOptions {
  /** Seconds between saves of the state so far, ≥ 0; a kill loses what was done since the last. Default 20. */
  readonly saveEvery?: number
}

/** What a distillation goes on from; gone once it is done. */
const STATE = 'state.safetensors'

/**
 * A distillation's folder and its live display. Every file is written atomically, so that the folder is readable at any
 * moment, also after a kill: `images.png` (initial and final), `distilled.safetensors`, `config.json`, `metrics.json`,
 * `report.html`; and `state.safetensors`, from which the distillation can go on, until it is done.
 */
export class Run {
  readonly #line = new ProgressLine()
  readonly #stop: StopSignal
  readonly #started = performance.now()
  /** What an earlier run left in the folder. */
  #before: RunMetrics | undefined
  /** What networks learned from the set so far. */
  #accuracies = new RunAccuracies()
  /** Lets other processes have the folder. */
  readonly #unlock: () => void
  readonly #saveEvery: number
  #lastSave = performance.now()
  /** Removes what must be gone before the first save; called before every one, it does so once. */
  #makeWay = async (): Promise<void> => {}
  /** Files that could not be made, as was told. */
  readonly #unshown = new Set<string>()
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
    this.#unlock = lockFolder(directory.path)
    this.#stop = stopSignal(this.#line)
  }

  /** Fires on Ctrl-C (the first; the second ends the process at once). */
  get signal(): AbortSignal {
    return this.#stop.signal
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
    const state = await progress.save()
    const set = await progress.snapshot()
    await this.#makeWay()
    await this.directory.writeBytes(STATE, state)
    await this.#save(set, 'distilling')
  }

  /** Prints something that stays, below the line of progress. */
  say(text: string): void {
    this.#line.end()
    process.stdout.write(`${text}\n`)
  }

  /**
   * Waits for a distillation and saves its result, also that of one that stopped early (whose error is thrown on). What
   * another distillation left in the folder goes when there is something to take its place, unless this one resumes it.
   * @param options what `distill` was called with, for config.json
   * @param more plain data that belongs there too
   */
  async record(
    options: DistillOptions,
    distillation: Promise<DistilledSet>,
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<DistilledSet> {
    const describe = async () => {
      this.#config = { ...(await describeOptions(options)), ...more }
      this.#accuracies = new RunAccuracies()
    }
    const described = describe()
    let cleared: Promise<void> | undefined
    this.#makeWay = () => {
      cleared ??= described.then(() => this.#clear(options.resume !== undefined))
      return cleared
    }
    try {
      const [set] = await Promise.all([distillation, described])
      await this.#makeWay()
      await this.#save(set, 'evaluating')
      await this.#remove(STATE)
      const advice = trajectoryAdvice(set, options.objective.options.studentLearningRate)
      if (advice) this.say(advice)
      return set
    } catch (error) {
      this.#line.end()
      if (error instanceof DistillationStopped) {
        await this.#makeWay()
        // First: metrics without a state are those of a distillation that is done.
        await this.directory.writeBytes(STATE, error.state)
        await this.#saveLast(error.result, error)
      }
      this.close()
      throw error
    }
  }

  /**
   * Trains students on the distilled images, on as many random real ones and, if asked to, on the whole dataset, all by
   * one protocol (with the learning rate that was distilled, unless `learningRate` states another), prints the accuracies
   * side by side, and closes the run. They are saved as they come: where the run is opened and compared again, what was
   * trained in the same way is not trained again. Networks that were compared before and are not now keep their rows, if
   * they were trained and tested in the same way; else they move to `earlier`. Accuracies are fractions, 0…1.
   * @throws Ld3mError as `evaluate` does, `aborted` on Ctrl-C among others
   */
  async compare({ train, wholeDataset = false, ...evaluation }: CompareOptions): Promise<AccuracyTable> {
    const set = this.#recorded('compare')
    const { device, signal } = this
    // A learned rate holds for the real images too, so that the images alone make the difference.
    const { studentLearningRate: learned } = set
    const rate = learned === undefined ? {} : { learningRate: learned }
    if (learned !== undefined && evaluation.learningRate === undefined) {
      this.say(`Networks are trained at the learning rate that was distilled, ${learned.toPrecision(3)}.`)
    }
    const perClass = (set.images.shape[0] as number) / set.classNames.length
    const sources = {
      distilled: { name: 'distilled', train: set },
      randomReal: { name: 'random real', train: (draw: number) => randomReal(train, perClass, draw) },
      wholeDataset: { name: 'whole dataset', train },
    }
    const keys = ['distilled', 'randomReal', ...(wholeDataset ? (['wholeDataset'] as const) : [])] as const
    const options = { ...rate, ...evaluation, device, signal, normalization: set.normalization }
    try {
      checkEvaluation(options, set)
      const replaced = this.#accuracies.begin(await describeEvaluation({ ...evaluation, train }, set))
      if (replaced) this.say(replaced)
      for (const key of keys) {
        const resume = this.#accuracies.trainings(key)
        const onProgress = async ({ student, run, accuracy, done, total }: EvaluateProgress) => {
          const percent = `${student}, run ${run + 1}: ${(100 * accuracy).toFixed(1)} %`
          this.#line.update(`evaluating ${bar(done / total)} ${sources[key].name}: ${percent}`, done === total)
          this.#accuracies.add(key, student, accuracy)
          if (performance.now() - this.#lastSave >= this.#saveEvery * 1000) await this.#save(set, 'evaluating')
        }
        await evaluate({ ...options, resume, onProgress, train: sources[key].train })
      }
    } catch (error) {
      this.#line.end()
      await this.#saveLast(set, error as Error)
      this.close()
      throw error
    }
    const { accuracy } = this.#accuracies.recorded
    // A distillation that was interrupted can still be gone on with.
    const status = this.isInterrupted ? (this.#before?.status ?? 'distilling') : 'finished'
    await this.#save(set, status).finally(() => this.close())
    process.stdout.write(`\n${accuracyText(accuracy)}\n\n`)
    this.#end()
    return accuracy
  }

  /** Closes a run that is not to be compared. */
  async finish(): Promise<void> {
    await this.#save(this.#recorded('finish'), 'finished')
    this.close()
    this.#end()
  }

  /** Whether a distillation in the folder was interrupted. */
  get isInterrupted(): boolean {
    return existsSync(this.directory.pathOf(STATE))
  }

  /**
   * Throws unless the folder's distillation was asked for with these options, and of images with the same statistics,
   * where those need no reading of files. One that was interrupted may be given another number of steps.
   * @param more what `record` was given
   * @throws Ld3mError `option`, naming those that differ, with both values
   */
  async checkOptions(options: DistillOptions, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const normalization = knownNormalization(options.dataset)
    const now: RunConfig = JSON.parse(JSON.stringify({ ...(await describeOptions(options)), ...more }))
    const steps = this.isInterrupted ? now.steps : this.#config.steps
    const differing = [
      ...differences({ ...this.#config, steps }, now),
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
    // Where there is none, no folder is made.
    await readRunResult(directory)
    const run = new Run(await openRunDirectory(directory), device, options)
    try {
      run.#set = await readRunResult(directory)
      run.#config = await readRunConfig(directory)
      run.#before = await readRunMetrics(directory)
      const { accuracy, evaluation, earlier } = run.#before
      run.#accuracies = new RunAccuracies({ accuracy, ...(evaluation && { evaluation }), ...(earlier && { earlier }) })
      return run
    } catch (error) {
      run.close()
      throw error
    }
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

  /** Stops listening for Ctrl-C, and lets others have the folder. */
  close(): void {
    this.#stop.release()
    this.#unlock()
  }

  /** Saves what there is after an error, which the caller then throws; a second error is only told. */
  async #saveLast(set: DistilledSet, error: Error): Promise<void> {
    try {
      await this.#save(set, error.message)
    } catch (second) {
      process.stderr.write(`The state so far could not be saved: ${(second as Error).message}\n`)
    }
  }

  async #save(set: DistilledSet, status: string): Promise<void> {
    this.#set = set
    const { directory } = this
    const metrics: RunMetrics = {
      status,
      adapter: this.#before?.adapter ?? this.device.info.description,
      seconds: (this.#before?.seconds ?? 0) + (performance.now() - this.#started) / 1000,
      iterations: set.loss.length,
      loss: set.loss,
      ...this.#accuracies.recorded,
      peakBytes: Math.max(this.#before?.peakBytes ?? 0, this.device.memory.peak),
    }
    await directory.writeJson('config.json', this.#config)
    await directory.writeBytes(SET_FILE, distilledToSafetensors(set))
    await this.#show('images.png', () => beforeAfter(set), directory.writeBytes)
    await this.#show('report.html', () => renderReport(this.#reportData(set, metrics)), directory.writeHtml)
    // Last: whoever finds new metrics finds the files that go with them.
    await directory.writeJson('metrics.json', metrics)
    this.#lastSave = performance.now()
  }

  /** Writes what only shows the run. One that cannot be made is told of, once, and stops no save. */
  async #show<T>(name: string, make: () => T, write: (name: string, content: T) => Promise<void>): Promise<void> {
    let content: T
    try {
      content = make()
    } catch (error) {
      if (!this.#unshown.has(name)) {
        this.#line.end()
        process.stderr.write(`${name} could not be made: ${(error as Error).message}\n`)
      }
      this.#unshown.add(name)
      // That of an earlier save shows something else than the metrics tell of.
      await this.#remove(name)
      return
    }
    await write(name, content)
  }

  #reportData(
    set: DistilledSet,
    { status, adapter, seconds, iterations, loss, accuracy, evaluation }: RunMetrics,
  ): ReportData {
    return {
      title: `${this.#config.dataset?.name}, distilled with ${methodOf(this.#config)}`,
      ...{ status, adapter, seconds, iterations, loss, accuracy, config: this.#config, classNames: set.classNames },
      images: { initial: set.initialImages, final: set.images, labels: set.labels },
      seenArchitecture: this.#config.student ?? 'ConvNet-3',
      ...(evaluation && { evaluation }),
      ...(set.studentLearningRate !== undefined && { studentLearningRate: set.studentLearningRate }),
      file: SET_FILE,
    }
  }
}

/**
 * Opens (and makes) the folder of a run.
 * @throws Ld3mError `option` if it holds other things, such as a dataset, or another process uses it
 */
export async function openRun(directory: string, device: Device, options: RunOptions = {}): Promise<Run> {
  const opened = await openRunDirectory(directory)
  await checkRunFolder(opened.path)
  return new Run(opened, device, options)
}

/**
 * Opens the folder of an earlier run, to compare what it distilled.
 * @throws Ld3mError `data` if there is none, or one of its files is broken
 */
export const reopenRun = (directory: string, device: Device, options: RunOptions = {}): Promise<Run> =>
  Run.reopen(directory, device, options)
