import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AnyDataset } from '../data/index.ts'
import { dataError, rejectUnknownOptions } from '../errors.ts'
import type { Device } from '../gpu/index.ts'
import {
  type ChooseIterationOptions,
  type ChosenIteration,
  checkEvaluation,
  chooseIteration,
  DistillationStopped,
  type DistilledSet,
  type DistillOptions,
  type DistillSettings,
  describeDistill,
  distill,
  distilledFromSafetensors,
  distilledToSafetensors,
  type IterationChoice,
  type SpaceOptions,
  savedIterations,
} from '../ld3m/index.ts'
import { type Student, studentByName, studentNames } from '../models/index.ts'
import { readIfThere } from './files.ts'
import { networkRecord } from './network-record.ts'
import { type CompareOptions, checkCompare, openRun, type Run, reopenRun } from './run.ts'
import type { AccuracyTable } from './run-evaluation.ts'

export interface ExperimentOptions {
  /** What is distilled. */
  train: AnyDataset
  /** What networks are tested on; seen by nothing else. */
  test: AnyDataset
  /** Options of `distill`. */
  distill: Omit<DistillSettings, 'dataset' | 'resume' | 'signal' | 'onProgress'> & SpaceOptions
  /** How the set is judged; by default `evaluate`'s protocol and all five architectures. */
  evaluate?: Partial<Omit<CompareOptions, 'train' | 'test'>>
  /** Chooses the iteration by validation images, which are in neither of the two datasets. Default: the last one. */
  choose?: Omit<ChooseIterationOptions, 'device' | 'signal' | 'resume'>
  /** Seconds between saves of the distillation's state. Default 20. */
  saveEvery?: number
}

export interface ExperimentResult {
  /** The distilled set that was judged. */
  readonly set: DistilledSet
  readonly accuracy: AccuracyTable
  /** Where the iteration was chosen. */
  readonly chosen?: Omit<ChosenIteration, 'set'>
}

/** The chosen set so far, and how it was chosen; beside the files of every run. */
const CHOICE = { set: 'choice.safetensors', record: 'choice.json' } as const

type ChoiceRecord = Omit<ChosenIteration, 'set'> & { readonly history: IterationChoice['history'] }

/**
 * From data to a report: distils, chooses the iteration if asked to, trains networks on the result and on as many random
 * real images, and leaves all of it in a run's folder (`openRun`). Called again with the same options after it was
 * stopped, it goes on where it was; what networks were trained already in the same way is kept.
 * @throws DistillationStopped on Ctrl-C during the distillation, whose state is saved
 * @throws Ld3mError as `distill`, `evaluate` and `chooseIteration` do; `option` if the folder holds a run with other options
 */
export async function runExperiment(folder: string, experiment: ExperimentOptions): Promise<ExperimentResult> {
  rejectUnknownOptions('runExperiment', experiment, ['train', 'test', 'distill', 'evaluate', 'choose', 'saveEvery'])
  const { train, test } = experiment
  const evaluate = { students: experiment.evaluate?.students ?? allStudents(train), ...experiment.evaluate }
  const options: DistillOptions = { ...experiment.distill, dataset: train }
  // Now, not when the distillation is done.
  describeDistill(options)
  checkCompare({ ...evaluate, train, test })
  if (experiment.choose) {
    const { validation, every: _every, ...judging } = experiment.choose
    checkEvaluation({ ...judging, test: validation }, train)
  }
  const device: Device = options.prior?.device ?? (options.device as Device)
  const earlier = existsSync(join(folder, 'metrics.json'))
  const { saveEvery } = experiment
  const run = await (earlier ? reopenRun : openRun)(folder, device, saveEvery === undefined ? {} : { saveEvery })
  let chosen: Omit<ChosenIteration, 'set'> | undefined
  try {
    const about = await chooses(experiment)
    if (earlier) await run.checkOptions(options, about)
    const choice = experiment.choose && (await openChoice(run, earlier, experiment.choose))
    if (!earlier || run.isInterrupted) await distillInto(run, earlier, options, choice, about)
    chosen = choice && describe(choice)
  } catch (error) {
    run.close()
    if (error instanceof DistillationStopped)
      run.say(`Saved to ${run.directory.path}; the same call goes on from there.`)
    throw error
  }
  const accuracy = await run.compare({ ...evaluate, train, test })
  return { set: run.result as DistilledSet, accuracy, ...(chosen && { chosen }) }
}

/** All architectures, for a dataset's images and classes. */
function allStudents({ channels, height, width, classNames }: AnyDataset): Student[] {
  const task = { channels, size: [height, width] as const, classes: classNames.length }
  return studentNames.map((name) => studentByName(name, task))
}

/** How the iteration is chosen, as plain data for the run's record. */
async function chooses({ choose }: ExperimentOptions): Promise<Readonly<Record<string, unknown>>> {
  if (!choose) return {}
  const { validation, students, learningRate, ...rest } = choose
  const rates = typeof learningRate === 'function' ? students.map(learningRate) : learningRate
  return {
    choose: {
      ...rest,
      ...(rates !== undefined && { learningRate: rates }),
      validation: { name: validation.name, count: validation.count },
      students: await Promise.all(students.map(async (s) => ({ name: s.name, ...(await networkRecord(s)) }))),
    },
  }
}

async function distillInto(
  run: Run,
  goesOn: boolean,
  options: DistillOptions,
  choice: IterationChoice | undefined,
  about: Readonly<Record<string, unknown>>,
): Promise<void> {
  const iterations = options.steps ?? 100
  const consider = async (iteration: number, set: DistilledSet) => {
    await (choice as IterationChoice).consider(iteration, set)
    await saveChoice(run, choice as IterationChoice)
  }
  const resume = goesOn ? await run.savedState() : undefined
  const resuming = { ...options, ...(resume && { resume }) }
  const done = resume ? savedIterations(resume) : 0
  // Stopped while this iteration was evaluated, or before: the state may be newer than the set in the folder.
  if (choice?.isDue(done, iterations)) await consider(done, await distill({ ...resuming, steps: done }))
  const distillation = distill({
    ...resuming,
    signal: run.signal,
    onProgress: async (progress) => {
      await run.onProgress(progress)
      if (!choice?.isDue(progress.iteration, iterations)) return
      // Evaluating may take long, and may be stopped.
      await run.saveState(progress)
      await consider(progress.iteration, await progress.snapshot())
    },
  })
  await run.record(resuming, choice ? distillation.then(() => choice.best.set) : distillation, about)
}

/** The choice of a run, with what it came to before. */
async function openChoice(
  run: Run,
  earlier: boolean,
  options: NonNullable<ExperimentOptions['choose']>,
): Promise<IterationChoice> {
  const [record, set] = await Promise.all(
    [CHOICE.record, CHOICE.set].map((name) => readIfThere(run.directory.pathOf(name))),
  )
  const rest = { ...options, device: run.device, signal: run.signal }
  if (!earlier || !record || !set) return chooseIteration(rest)
  let before: ChoiceRecord
  try {
    before = JSON.parse(new TextDecoder().decode(record))
  } catch (cause) {
    throw dataError(`${run.directory.pathOf(CHOICE.record)} is not JSON.`, 'Use another folder.', cause)
  }
  const { history, ...best } = before
  return chooseIteration({ ...rest, resume: { history, best: { ...best, set: distilledFromSafetensors(set) } } })
}

async function saveChoice(run: Run, choice: IterationChoice): Promise<void> {
  const { best, history } = choice
  const last = history.at(-1) as IterationChoice['history'][number]
  run.say(
    `iteration ${last.iteration}: ${percent(last.mean)} on validation images` +
      (best.iteration === last.iteration ? ', the best so far' : ` (best: ${percent(best.mean)} at ${best.iteration})`),
  )
  await run.directory.writeBytes(CHOICE.set, distilledToSafetensors(best.set))
  const record: ChoiceRecord = { ...describe(choice), history }
  await run.directory.writeJson(CHOICE.record, record)
}

function describe({ best }: IterationChoice): Omit<ChosenIteration, 'set'> {
  const { set: _set, ...rest } = best
  return rest
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
