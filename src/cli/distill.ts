import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { optionError } from '../errors.ts'
import { DistillationStopped, type DistillOptions, distill, estimateDistill, planDistill } from '../ld3m/index.ts'
import { formatBytes, formatDuration, hasPart, openDevice, openRun, readRunConfig, reopenRun } from '../node/index.ts'
import { command, countOf, integer, number, positiveNumber } from './arguments.ts'
import { CLASSES, DATA_KINDS } from './data.ts'
import { checkUnchanged, HOLD_OUT, holdOutOf, recordedHoldOut } from './hold-out.ts'
import { OBJECTIVE_ARGUMENTS, objectiveOf } from './objective.ts'
import { SPACE_ARGUMENTS, spaceOpener } from './space.ts'

/** Prints what a distillation would take. */
async function printEstimate(options: DistillOptions): Promise<void> {
  const { peakBytes, seconds, secondsPerIteration } = await estimateDistill(options)
  const each = `${options.steps} iterations of ${secondsPerIteration.toPrecision(2)} s, as two after a first one took`
  process.stdout.write(
    `About ${formatBytes(peakBytes)} of GPU memory and ${formatDuration(seconds)}: ${each}, without saving.\n`,
  )
}

export const distillCommand = command(
  'distill',
  'Distil a dataset into a few images a class',
  {
    data: {
      type: 'string',
      valueHint: 'PATH',
      required: true,
      description: `Training images: ${DATA_KINDS}`,
    },
    ...SPACE_ARGUMENTS,
    classes: CLASSES,
    'hold-out': HOLD_OUT,
    learn: {
      type: 'enum',
      options: ['latents', 'conditioning', 'both'],
      description: 'What of them is learned; default all that there is',
    },
    ...OBJECTIVE_ARGUMENTS,
    lr: { type: 'string', valueHint: 'X', description: "Learning rate; default the objective's" },
    init: { type: 'enum', options: ['real', 'gaussian'], description: 'Where learning starts; default real images' },
    'real-batch': { type: 'string', valueHint: 'N', description: 'Real images a class and iteration; default 64' },
    chunk: {
      type: 'string',
      valueHint: 'N',
      description: 'Images that are generated at once: what memory grows with; default 10',
    },
    ipc: { type: 'string', valueHint: 'N', default: '1', description: 'Images a class' },
    steps: { type: 'string', valueHint: 'N', default: '100', description: 'Iterations' },
    seed: { type: 'string', valueHint: 'N', default: '0', description: 'Same seed, same adapter: same result' },
    out: {
      type: 'string',
      valueHint: 'DIR',
      required: true,
      description: 'Where the run is saved, such as runs/first',
    },
    force: { type: 'boolean', default: false, description: 'Replace the run in --out' },
    resume: { type: 'boolean', default: false, description: 'Go on with the interrupted run in --out' },
    estimate: { type: 'boolean', default: false, description: 'Tell memory and time, by a trial of three iterations' },
    'save-every': { type: 'string', valueHint: 'SECONDS', default: '20', description: 'How often the state is saved' },
  },
  async ({ data: path, classes, learn, lr, ipc, steps, seed, out, force, resume, ...rest }) => {
    const {
      'hold-out': fraction,
      'save-every': seconds,
      'real-batch': realBatch,
      estimate,
      init,
      chunk,
      ...named
    } = rest
    if (resume && force) {
      throw optionError('--resume goes on with the run in --out, --force replaces it.', 'Leave one of them out.')
    }
    const saving = { saveEvery: number('save-every', seconds) }
    if (!resume && !force && !estimate && existsSync(join(out, 'metrics.json'))) {
      throw optionError(
        `${out} holds a run already.`,
        'Name another folder, go on with --resume, or replace it with --force.',
      )
    }
    const counts = { imagesPerClass: countOf('ipc', ipc), steps: countOf('steps', steps), seed: integer('seed', seed) }
    const optional = {
      ...(lr !== undefined && { learningRate: positiveNumber('lr', lr) }),
      ...(realBatch !== undefined && { realBatch: countOf('real-batch', realBatch) }),
      ...(chunk !== undefined && { chunk: countOf('chunk', chunk) }),
      ...(learn !== undefined && { learn }),
      ...(init !== undefined && { init }),
    }
    const openSpace = spaceOpener(named)
    const objective = await objectiveOf(named)
    const given = holdOutOf(fraction)
    const before = resume ? await readRunConfig(out) : undefined
    const holdOut = before ? recordedHoldOut(out, before, given) : given
    const device = await openDevice()
    try {
      const { heldOutFrom, ...images } = await openSpace(device, { path, classes, holdOut })
      if (before && heldOutFrom !== undefined) checkUnchanged(path, out, before, heldOutFrom)
      const recorded = { ...(holdOut !== undefined && { holdOut, heldOutFrom }) }
      const asked = { ...images, objective, ...counts, ...optional }
      if (estimate) {
        await printEstimate(asked)
        return
      }
      // Before the folder is made: what cannot be distilled leaves none.
      const { peakBytes } = planDistill(asked)
      const run = await (resume ? reopenRun : openRun)(out, device, saving)
      try {
        if (resume && !run.isInterrupted) {
          await run.checkOptions(asked, recorded)
          run.say('The distillation is done already.')
          await run.finish()
          return
        }
        const options = { ...asked, ...(resume && { resume: await run.savedState() }) }
        if (holdOut === undefined && !resume && !(await hasPart(path, 'test'))) {
          run.say(`${path} has no part to test on: --hold-out 0.1 keeps a tenth of each class for that.`)
        }
        run.say(
          `Takes about ${formatBytes(peakBytes)} of GPU memory. How long it takes shows after the first iterations.`,
        )
        await run.record(options, distill({ ...options, signal: run.signal, onProgress: run.onProgress }), recorded)
        await run.finish()
      } catch (error) {
        if (error instanceof DistillationStopped) run.say(`Saved to ${out}; --resume goes on from there.`)
        throw error
      } finally {
        run.close()
      }
    } finally {
      device.destroy()
    }
  },
)
